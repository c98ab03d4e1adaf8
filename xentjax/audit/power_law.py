"""Power laws: a + b·n^(−c) through the losses of a learning curve, and what it says of more data.

Use `fit_power_law` on the sizes and losses of `train_learning_curve`.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from xentjax.audit.estimate import Estimate, percentiles
from xentjax.audit.given import Given, finite_of

_EXPONENTS = np.arange(1, 81) / 20  # 0.05 … 4


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """The curve a + b·n^(−c) through losses.

    Attributes:
        floor: a ≥ 0, what no amount of data would take away if the law held on.
        scale: b ≥ 0.
        exponent: c.
        forecast_size: twice the largest size.
        forecast: of the loss at that size.
        gain: the share of the loss at the largest size that doubling the data would take away.
        falling: whether the whole interval of the gain lies above the least gain asked for.
    """

    floor: float
    scale: float
    exponent: float
    forecast_size: int
    forecast: Estimate
    gain: Estimate
    falling: bool

    def __call__(self, sizes: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """The losses that the law gives for sizes of any shape."""
        return self.floor + self.scale * np.asarray(sizes, np.float64) ** -self.exponent


class _Law(NamedTuple):
    """Fitted laws, arrays of one shape."""

    floor: np.ndarray
    scale: np.ndarray
    exponent: np.ndarray

    def at(self, size: float) -> np.ndarray:
        return self.floor + self.scale * size**-self.exponent


def fit_power_law(
    sizes: Given,
    losses: Given,
    *,
    least_gain: float = 0.05,
    seed: int = 0,
    resamples: int = 1000,
) -> PowerLaw:
    r"""Fits a + b·n^(−c), a and b ≥ 0, and forecasts the loss for twice the data.

    The squares of relative residuals, (y/ŷ − 1)² with the mean of each size for ŷ, are least over
    a grid of c in [0.05, 4], a and b being linear. The interval resamples the residuals of the fit
    (enlarged by √(m/(m − 3)) for m points and three parameters) and refits; what the law misses
    is a residual too, so a curve of another shape gets a wider interval. It is a forecast of the
    mean over trainings, and it trusts the law beyond the data: read a wide one as "unknown".

    Args:
        sizes: n, at least four different ones, positive.
        losses: nats, or error rates, positive, R trainings a size.
        least_gain: the share of the loss that doubling the data must take away for `falling`.
        seed: of the resamples.
        resamples: how many.

    Returns:
        `PowerLaw`.

    Raises:
        ValueError: there are fewer than four sizes, shapes do not fit, or a number is not positive
            and finite.

    Example:
        >>> n = np.array([10, 20, 40, 80])
        >>> law = fit_power_law(n, (0.1 + 2.4 / n)[:, None])
        >>> round(law.forecast.value, 3)  # 0.1 + 2.4 / 160
        0.115

    Reference:
        C. Cortes et al., Learning Curves: Asymptotic Values and Rate of Convergence, 1994.
    """
    sizes, losses = _read(sizes, losses)
    n = np.repeat(sizes, losses.shape[1])
    scale = np.repeat(losses.mean(axis=1), losses.shape[1])
    y = losses.reshape(-1)
    law = _least_squares(n, y[None, :], scale)
    drawn = np.random.default_rng(seed).integers(len(y), size=(resamples, len(y)))
    fitted = np.stack([law.at(size) for size in n], axis=-1)
    residuals = (y - fitted[0]) / scale * math.sqrt(len(y) / max(len(y) - 3, 1))
    again = _least_squares(n, fitted + residuals[drawn] * scale, scale)
    largest = n.max()
    forecast = percentiles(law.at(2 * largest)[0], again.at(2 * largest))
    gains = [1 - each.at(2 * largest) / each.at(largest) for each in (law, again)]
    gain = percentiles(gains[0][0], gains[1])
    a, b, c = (float(x[0]) for x in law)
    return PowerLaw(a, b, c, int(2 * largest), forecast, gain, gain.low > least_gain)


def _least_squares(n: np.ndarray, y: np.ndarray, scale: np.ndarray) -> _Law:
    """The best laws of many samples y [B, m] at sizes n [m], residuals divided by scale [m]."""
    # Sizes are divided by the largest, or n^(−c) would span too many digits.
    top = n.max()
    powers = (n / top) ** -_EXPONENTS[:, None]  # [E, m]
    weight = 1 / scale**2
    s0, s1, s2 = weight.sum(), powers @ weight, powers**2 @ weight
    y0, y1 = y @ weight, y @ (powers * weight).T  # [B], [B, E]
    b = np.maximum((s0 * y1 - s1 * y0[:, None]) / (s0 * s2 - s1**2), 0)
    a = (y0[:, None] - b * s1) / s0
    b = np.where(a < 0, np.maximum(y1 / s2, 0), b)
    a = np.maximum(a, 0)
    # Σ w (y − a − b p)², up to Σ w y², which is the same for all exponents.
    error = a**2 * s0 + b**2 * s2 + 2 * a * b * s1 - 2 * a * y0[:, None] - 2 * b * y1
    best = error.argmin(axis=1)
    rows = np.arange(len(y))
    exponent = _EXPONENTS[best]
    return _Law(a[rows, best], b[rows, best] * top**exponent, exponent)


def _read(sizes: Given, losses: Given) -> tuple[np.ndarray, np.ndarray]:
    scored = finite_of(losses, "losses", "S R")
    n = finite_of(sizes, "sizes", "S", scored.shape[:1])
    if len(np.unique(n)) < 4:
        raise ValueError(
            f"sizes must be at least four different ones, got {n}; three parameters need more "
            "points than three"
        )
    if not (np.all(n > 0) and np.all(scored > 0)):
        raise ValueError("sizes and losses must be positive and finite")
    return n, scored
