"""Scaling: confidence mended after training, by a few numbers fitted on validation rows.

`fit_temperature` divides all logits by one number, which changes no decision; `fit_vector_scaling`
gives each class a factor and an offset. Fit on validation, report on test.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array

from xentjax.audit.class_scores import ClassScores, log_softmax, read_class_scores
from xentjax.audit.given import Given
from xentjax.losses.softmax import softmax_cross_entropy

_MOST_STEPS = 200
# Of the gradient in nats, in double precision.
_TOLERANCE = 1e-9

Logits = TypeVar("Logits", np.ndarray, Array)


@dataclasses.dataclass(frozen=True)
class TemperatureScaling:
    """Logits divided by one number T: above 1 it takes confidence away.

    Attributes:
        temperature: T > 0.
        standard_error: of T, from the curvature of the likelihood; NaN at a bound.
        at_bound: whether the rows wanted T beyond the bounds, as they do where all of them are
            right (T → 0) or where no logit tells anything (T → ∞): T is then a bound, no finding.
        rows: how many it was fitted on.
        nats_before: their mean cross-entropy before.
        nats_after: and after.
    """

    temperature: float
    standard_error: float
    at_bound: bool
    rows: int
    nats_before: float
    nats_after: float

    def apply(self, logits: Logits) -> Logits:
        """Logits [..., C] / T, in their dtype; their order stays."""
        return logits / self.temperature


@dataclasses.dataclass(frozen=True)
class VectorScaling:
    """Logits times a factor a class, plus an offset a class; decisions may change.

    Attributes:
        scale: w, float64 [C].
        bias: b, float64 [C].
        converged: whether the gradient vanished within the steps allowed.
        rows: how many it was fitted on.
        nats_before: their mean cross-entropy before.
        nats_after: and after, without the penalty.
    """

    scale: np.ndarray
    bias: np.ndarray
    converged: bool
    rows: int
    nats_before: float
    nats_after: float

    def apply(self, logits: Logits) -> Logits:
        """w · logits + b of logits [..., C], in their dtype."""
        shape = (1,) * (logits.ndim - 1) + self.scale.shape
        scale, bias = (x.astype(logits.dtype).reshape(shape) for x in (self.scale, self.bias))
        return logits * scale + bias


def fit_temperature(
    logits: Given,
    labels: Given,
    *,
    lowest: float = 0.05,
    highest: float = 20.0,
) -> TemperatureScaling:
    r"""The temperature of the least cross-entropy on validation rows.

        T = argmin_T 1/N Σ_i −log softmax(x_i / T)_{y_i}

    Convex in 1/T, so that its slopes at both bounds tell whether the minimum lies between them; if
    so, L-BFGS finds it over log(1/T), in double precision. Where all rows are right there is none:
    the record says `at_bound`.

    Prefer it to `fit_vector_scaling` with fewer than some hundred rows a class, and wherever
    decisions must stay as they are. It mends confidence on the whole, not class by class.

    Args:
        logits: [N, C] of rows that the model was not trained on, finite.
        labels: integers [N].
        lowest: the least temperature allowed, above 0.
        highest: the largest.

    Returns:
        A `TemperatureScaling`.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a logit is not finite, a label or a bound is out of range.

    Example:
        >>> logits = np.log([[9.0, 1.0]] * 4)  # says 9 : 1, is right 3 : 1
        >>> found = fit_temperature(logits, np.array([0, 0, 0, 1]))
        >>> print(f"{found.temperature:.3f}")  # log 9 / log 3
        2.000
        >>> print(np.exp(found.apply(logits)[0]).round(3))
        [3. 1.]

    Reference:
        C. Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    if not 0 < lowest < highest < np.inf:
        raise ValueError(f"wanted 0 < lowest < highest, got {lowest} and {highest}")
    scores = read_class_scores(logits, labels)
    if _slope(scores, 1 / lowest) <= 0:
        temperature, inside = lowest, False
    elif _slope(scores, 1 / highest) >= 0:
        temperature, inside = highest, False
    else:
        sharpness, _ = _minimize(_scaled_nats, np.zeros(()), scores, ())
        temperature, inside = float(np.clip(np.exp(-sharpness), lowest, highest)), True
    return TemperatureScaling(
        temperature=temperature,
        standard_error=_standard_error(scores, temperature) if inside else float("nan"),
        at_bound=not inside,
        rows=len(scores.labels),
        nats_before=float(scores.losses.mean()),
        nats_after=float(ClassScores(scores.logits / temperature, scores.labels).losses.mean()),
    )


def fit_vector_scaling(
    logits: Given,
    labels: Given,
    *,
    ridge: float = 0.1,
) -> VectorScaling:
    r"""A factor and an offset a class, of the least penalised cross-entropy on validation rows.

        min_{w,b} 1/N [Σ_i −log softmax(w · x_i + b)_{y_i} + ρ/2 (‖w − 1‖² + ‖b‖²)]

    Convex; minimised by L-BFGS in double precision. The penalty is that of a normal prior of
    variance 1/ρ around doing nothing. It is there because b is determined only up to a constant
    otherwise, and nothing is determined where the rows can be separated.

    Prefer it to `fit_temperature` where some classes are overconfident and others are not, or where
    classes are of other frequency than in training, given some hundred rows a class.

    Args:
        logits: [N, C] of rows that the model was not trained on, finite.
        labels: integers [N].
        ridge: ρ > 0.

    Returns:
        A `VectorScaling`.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a logit is not finite, a label or ρ is out of range.

    Example:
        >>> logits = np.zeros((4, 2))  # knows nothing; class 0 comes three times of four
        >>> found = fit_vector_scaling(logits, np.array([0, 0, 0, 1]), ridge=1e-6)
        >>> print(f"{found.bias[0] - found.bias[1]:.3f}")  # log 3
        1.099

    Reference:
        C. Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    if not 0 < ridge < np.inf:
        raise ValueError(f"ridge must be above 0, got {ridge}: without it there may be no minimum")
    scores = read_class_scores(logits, labels)
    start = np.stack([np.ones(scores.logits.shape[1]), np.zeros(scores.logits.shape[1])])
    found, converged = _minimize(_penalised_nats, start, scores, (ridge,))
    scaled = scores.logits * found[0][None, :] + found[1][None, :]
    return VectorScaling(
        scale=found[0],
        bias=found[1],
        converged=converged,
        rows=len(scores.labels),
        nats_before=float(scores.losses.mean()),
        nats_after=float(ClassScores(scaled, scores.labels).losses.mean()),
    )


def _slope(scores: ClassScores, sharpness: float) -> float:
    """Of the mean cross-entropy, over the sharpness 1/T: mean of E_p[x] − x_y."""
    p = np.exp(log_softmax(sharpness * scores.logits))
    rows = np.arange(len(scores.labels))
    # Relative to the label's logit, so that nothing cancels where p is all the label's.
    relative = scores.logits - scores.logits[rows, scores.labels][:, None]
    return float((p * relative).sum(axis=1).mean())


def _standard_error(scores: ClassScores, temperature: float) -> float:
    """T² / √(Σ_i Var_p[x_i]): that of 1/T from the observed information, carried over to T."""
    p = np.exp(log_softmax(scores.logits / temperature))
    centred = scores.logits - (p * scores.logits).sum(axis=1, keepdims=True)
    information = float((p * centred**2).sum())
    return float(temperature**2 / np.sqrt(information)) if information > 0 else float("inf")


def _scaled_nats(log_sharpness: Array, logits: Array, labels: Array) -> Array:
    return softmax_cross_entropy(jnp.exp(log_sharpness) * logits, labels, reduction="mean")


def _penalised_nats(scaling: Array, logits: Array, labels: Array, ridge: Array) -> Array:
    scale, bias = scaling
    scaled = logits * scale[None, :] + bias[None, :]
    penalty = jnp.sum((scale - 1) ** 2) + jnp.sum(bias**2)
    nats = softmax_cross_entropy(scaled, labels, reduction="mean")
    return nats + ridge / 2 * penalty / labels.shape[0]


def _minimize(
    loss: Callable[..., Array],
    start: np.ndarray,
    scores: ClassScores,
    options: tuple[float, ...],
) -> tuple[np.ndarray, bool]:
    """The minimum in double precision, which is on for this thread while it runs."""
    with jax.enable_x64(True):
        logits, labels = jnp.asarray(scores.logits), jnp.asarray(scores.labels, jnp.int32)
        data = (logits, labels, *(jnp.asarray(option) for option in options))
        found, slope = _descend(loss, jnp.asarray(start), data)
        # A loss of 1e4 nats keeps its slope only to 1e-12 of that.
        within = float(slope) < max(1e-6, 1e-10 * float(np.abs(scores.logits).max()))
        return np.asarray(found), within


@partial(jax.jit, static_argnames="loss")
def _descend(
    loss: Callable[..., Array], start: Array, data: tuple[Array, ...]
) -> tuple[Array, Array]:
    """L-BFGS from the start until the gradient vanishes; the point and its gradient's norm."""
    rule = optax.lbfgs()

    def value(point):
        return loss(point, *data)

    value_and_grad = optax.value_and_grad_from_state(value)

    def advance(carry):
        point, state, step = carry
        nats, slope = value_and_grad(point, state=state)
        change, state = rule.update(slope, state, point, value=nats, grad=slope, value_fn=value)
        return optax.apply_updates(point, change), state, step + 1

    def unfinished(carry):
        _, state, step = carry
        slope = jnp.linalg.norm(optax.tree.get(state, "grad").ravel())
        return (step == 0) | ((step < _MOST_STEPS) & (slope > _TOLERANCE))

    found, _, _ = lax.while_loop(unfinished, advance, (start, rule.init(start), 0))
    point = jnp.asarray(found)
    return point, jnp.linalg.norm(jax.grad(value)(point).ravel())
