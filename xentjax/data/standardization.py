"""Features brought to mean 0 and standard deviation 1 by statistics of the training rows alone.

Use it when features differ in scale (breast_cancer does). Statistics of the whole table would
let the test rows leak into training; so the function takes the training rows and nothing else.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32


class Standardization(NamedTuple):
    """The mean and standard deviation of each training feature; unpacks as `mean, std`."""

    mean: Float32[np.ndarray, " features"]
    std: Float32[np.ndarray, " features"]

    def apply(
        self, features: Float[np.ndarray, "rows features"]
    ) -> Float32[np.ndarray, "rows features"]:
        """Returns (features − mean) / std, float32 `[N, F]`, for rows of any split."""
        return ((features - self.mean[None]) / self.std[None]).astype(np.float32)


def standardize(train_features: np.ndarray) -> Standardization:
    """Measures the training features, to be applied to every split.

    mean = Σ x / N and std = √(Σ (x − mean)² / N), in float64. A constant feature gets std 1,
    so that it becomes 0 and not NaN.

    Args:
        train_features: `[N, F]`, the training rows only.

    Returns:
        The statistics, each float32 `[F]`; their `apply` standardises the rows of any split.

    Raises:
        ValueError: if there is no row or the array is not two-dimensional.

    Example:
        >>> train = np.array([[1.0, 10.0], [3.0, 30.0]])
        >>> mean, std = standardize(train)
        >>> mean.tolist(), std.tolist()
        ([2.0, 20.0], [1.0, 10.0])
        >>> standardize(train).apply(np.array([[4.0, 20.0]])).tolist()
        [[2.0, 0.0]]
    """
    if train_features.ndim != 2 or train_features.shape[0] == 0:
        raise ValueError(
            f"train_features must have shape (N, F) with N ≥ 1, got {train_features.shape}"
        )
    mean = train_features.mean(axis=0, dtype=np.float64)
    std = train_features.std(axis=0, dtype=np.float64)
    constant = train_features.max(axis=0) == train_features.min(axis=0)
    std = np.where(constant, 1.0, std)
    return Standardization(mean.astype(np.float32), std.astype(np.float32))
