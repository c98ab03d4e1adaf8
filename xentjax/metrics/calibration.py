"""Calibration errors: how far confidence and accuracy lie apart, as functions of the table.

Each takes the table of `Reliability` or `equal_mass_reliability`, or that of
`ClasswiseReliability`, for which it gives one error a class. All are 0 at best and at most 1.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from xentjax.metrics.reliability import ReliabilityTable


def expected_calibration_error(table: ReliabilityTable) -> Float[Array, "..."]:
    r"""ECE: the mean distance of confidence and accuracy, Σ_b w_b |acc_b − conf_b| / Σ_b w_b.

    Prefer it to compare with publications. It depends on the bins, and noise alone makes it
    positive: about √(2 a(1 − a) / (π n)) in a bin of n examples with accuracy a.

    Args:
      table: of a `Reliability`, [..., bins].

    Returns:
      The error [...]; NaN when nothing was counted.

    Example:
      >>> import jax.numpy as jnp
      >>> from xentjax.metrics.reliability import Reliability
      >>> reliability = Reliability(bins=2)
      >>> said, happened = jnp.array([0.25, 0.25, 0.75]), jnp.array([False, True, True])
      >>> state = reliability.update(reliability.init(), said, happened)
      >>> print(expected_calibration_error(reliability.compute(state)))  # ⅔ · ¼ + ⅓ · ¼
      0.25

    Reference:
      M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining Well Calibrated Probabilities Using
      Bayesian Binning, 2015.

    See Also:
      `debiased_calibration_error`, which noise alone does not make large.
    """
    return jnp.sum(_shares(table) * _gaps(table), axis=-1)


def maximum_calibration_error(table: ReliabilityTable) -> Float[Array, "..."]:
    r"""MCE: the largest distance of confidence and accuracy in a bin that is not empty.

    Prefer it where no range of confidence may be wrong. Bins of few examples decide it, so take
    bins of equal mass.

    Args:
      table: of a `Reliability`, [..., bins].

    Returns:
      The error [...]; NaN when nothing was counted.

    Example:
      >>> import jax.numpy as jnp
      >>> from xentjax.metrics.reliability import Reliability
      >>> reliability = Reliability(bins=2)
      >>> said, happened = jnp.array([0.5, 0.5, 0.875]), jnp.array([False, True, True])
      >>> state = reliability.update(reliability.init(), said, happened)
      >>> print(maximum_calibration_error(reliability.compute(state)))  # 0 and 1 − 0.875
      0.125

    Reference:
      M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining Well Calibrated Probabilities Using
      Bayesian Binning, 2015.
    """
    nothing = jnp.sum(table.weight, axis=-1) == 0
    return jnp.where(nothing, jnp.nan, jnp.max(_gaps(table), axis=-1))


def rms_calibration_error(table: ReliabilityTable) -> Float[Array, "..."]:
    r"""The root of the mean squared distance, √(Σ_b w_b (acc_b − conf_b)² / Σ_b w_b).

    Its square is the calibration part of the Brier score, up to what bins hide.

    Args:
      table: of a `Reliability`, [..., bins].

    Returns:
      The error [...]; NaN when nothing was counted.

    Example:
      >>> import jax.numpy as jnp
      >>> from xentjax.metrics.reliability import Reliability
      >>> reliability = Reliability(bins=2)
      >>> said, happened = jnp.array([0.5, 0.5, 0.5, 0.75]), jnp.array([0, 1, 1, 1])
      >>> state = reliability.update(reliability.init(), said[:3], happened[:3])
      >>> print(f"{rms_calibration_error(reliability.compute(state)):.4f}")  # |2/3 − 1/2|
      0.1667

    Reference:
      D. Hendrycks, M. Mazeika, T. Dietterich, Deep Anomaly Detection with Outlier Exposure, 2019.

    See Also:
      `debiased_calibration_error`.
    """
    return jnp.sqrt(jnp.sum(_shares(table) * _gaps(table) ** 2, axis=-1))


def debiased_calibration_error(table: ReliabilityTable) -> Float[Array, "..."]:
    r"""The root mean squared error without what the noise of the hits adds to it.

    With n_b examples in bin b, the square is Σ_b w_b [(acc_b − conf_b)² − acc_b (1 − acc_b) /
    (n_b − 1)] / Σ_b w_b, an unbiased estimate for the confidences at hand; the root is taken of
    it or of 0, whichever is larger. A bin of one example, whose noise cannot be told, adds 0.

    Prefer it to `rms_calibration_error` where bins hold fewer than some hundred examples: there
    the noise is larger than the error of a good model.

    Args:
      table: of a `Reliability`, [..., bins].

    Returns:
      The error [...]; NaN when nothing was counted.

    Example:
      >>> import jax.numpy as jnp
      >>> from xentjax.metrics.reliability import Reliability
      >>> reliability = Reliability(bins=1)
      >>> said, happened = jnp.ones(4) * 0.25, jnp.array([1, 1, 1, 0])
      >>> table = reliability.compute(reliability.update(reliability.init(), said, happened))
      >>> print(f"{debiased_calibration_error(table):.4f}")  # √(½² − ¾ · ¼ / 3) = √(3/16)
      0.4330

    Reference:
      A. Kumar, P. Liang, T. Ma, Verified Uncertainty Calibration, 2019.
    """
    several = table.examples > 1
    noise = table.accuracy * (1 - table.accuracy) / jnp.where(several, table.examples - 1, 1)
    # Not `several`, which is False for the NaN that a bad label has left.
    squares = jnp.where(table.examples <= 1, 0, _gaps(table) ** 2 - noise)
    return jnp.sqrt(jnp.maximum(jnp.sum(_shares(table) * squares, axis=-1), 0))


def _shares(table: ReliabilityTable) -> Array:
    return table.weight / jnp.sum(table.weight, axis=-1, keepdims=True)


def _gaps(table: ReliabilityTable) -> Array:
    """|accuracy − confidence|, 0 in empty bins."""
    return jnp.where(table.weight == 0, 0, jnp.abs(table.accuracy - table.confidence))
