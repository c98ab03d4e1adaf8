"""Saliency: which features a classifier's answer for one row hangs on, by gradients.

Four answers, from the quickest to the dearest; `covering` gives a fifth that needs no gradient.
Each is a number a feature, and for a linear model all say the same: its weights. None is the
truth about a model; `faithfulness` tests how far one may be believed.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.audit.probe import (
    Labels,
    Predict,
    Rows,
    label_scores,
    label_slopes,
    read_rows,
    require_finite,
    require_score,
    row_shaped,
)


@dataclasses.dataclass(frozen=True)
class IntegratedGradients:
    """Attributions that add up, and by how much they do not.

    Attributes:
        attributions: float32, the shape of the features.
        gap: float32 [n], Σ attributions − (score − baseline score): the quadrature's error.
        scores: float32 [n], of the rows.
        baseline_scores: float32 [n], of the baseline.
    """

    attributions: np.ndarray
    gap: np.ndarray
    scores: np.ndarray
    baseline_scores: np.ndarray


def gradient_saliency(
    predict: Predict, features: Rows, labels: Labels, *, of: str = "logit"
) -> Float[np.ndarray, "rows ..."]:
    r"""The size of the gradient of a label's score: how strongly it reacts to each feature.

        |∂ s_y / ∂ x_j|

    Prefer it for a first look: one backward pass. It sees the model's slope at the row alone, so
    it is noisy, and blind where the model is saturated; it has no sign.

    Args:
        predict: features [n, …] → logits [n, C], differentiable, each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the class whose score is explained, in [0, C).
        of: "logit", or "log_probability", which also sees what speaks for the other classes.

    Returns:
        float32, the shape of `features`, in units of the score per unit of the feature.

    Raises:
        TypeError: features are not floating point.
        ValueError: shapes do not fit, a label is out of range, or the model gives NaN.

    Example:
        >>> w = jnp.array([[3.0, 0.0], [-2.0, 0.0]])
        >>> x, y = jnp.array([[5.0, 5.0]]), jnp.array([0])
        >>> gradient_saliency(lambda x: x @ w, x, y).tolist()  # |3|, |−2|
        [[3.0, 2.0]]

    Reference:
        K. Simonyan, A. Vedaldi, A. Zisserman, Deep Inside Convolutional Networks, 2013.
    """
    return np.abs(_gradients(predict, features, labels, of))


def gradient_times_input(
    predict: Predict, features: Rows, labels: Labels, *, of: str = "logit"
) -> Float[np.ndarray, "rows ..."]:
    r"""The gradient times the feature: what each feature adds, were the model a straight line.

        x_j · ∂ s_y / ∂ x_j

    Prefer `integrated_gradients` where its passes can be paid: this is that with one node, at the
    end of the path. A feature that is 0 gets 0 whatever the model does with it.

    Args:
        predict: features [n, …] → logits [n, C], differentiable, each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the class whose score is explained.
        of: "logit" or "log_probability".

    Returns:
        float32, the shape of `features`, in units of the score.

    Raises:
        TypeError: features are not floating point.
        ValueError: as for `gradient_saliency`.

    Example:
        >>> w = jnp.array([[3.0, 0.0], [-2.0, 0.0]])
        >>> x, y = jnp.array([[5.0, 5.0]]), jnp.array([0])
        >>> gradient_times_input(lambda x: x @ w, x, y).tolist()  # 5 · 3, 5 · −2
        [[15.0, -10.0]]

    Reference:
        A. Shrikumar et al., Not Just a Black Box: Learning Important Features Through
        Propagating Activation Differences, 2016.
    """
    slopes = _gradients(predict, features, labels, of)
    return slopes * np.asarray(features, np.float32)


def smooth_grad(
    predict: Predict,
    features: Rows,
    labels: Labels,
    *,
    key: Shaped[Array, "..."],
    samples: int = 32,
    noise: float = 0.15,
    spread: Num[ArrayLike, "..."] | None = None,
    of: str = "logit",
) -> Float[np.ndarray, "rows ..."]:
    r"""The gradient, averaged over noisy copies of the row: the slope of the neighbourhood.

        mean over k of ∂ s_y / ∂ x_j at x + noise · spread · ε_k,   ε_k ~ N(0, 1)

    Prefer it to `gradient_saliency` where that looks like sand. It is the gradient of the score
    smoothed by a Gaussian, so a kink narrower than the noise cannot be seen.

    Args:
        predict: features [n, …] → logits [n, C], differentiable, each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the class whose score is explained.
        key: of the noise.
        samples: noisy copies, at least 1; the error falls with their square root.
        noise: standard deviation of the noise, as a fraction of `spread`.
        spread: a number or one row; largest minus smallest of all `features` by default. Give a
            row of ranges where features have units of their own.
        of: "logit" or "log_probability".

    Returns:
        float32, the shape of `features`, signed, in units of the score per unit of the feature.

    Raises:
        TypeError: features are not floating point.
        ValueError: as for `gradient_saliency`, or samples is below 1, or noise negative.

    Example:
        >>> w = jnp.array([[3.0, 0.0], [-2.0, 0.0]])
        >>> x, y = jnp.array([[5.0, 5.0]]), jnp.array([0])
        >>> smooth_grad(lambda x: x @ w, x, y, key=jax.random.key(0)).tolist()  # no kinks
        [[3.0, -2.0]]

    Reference:
        D. Smilkov et al., SmoothGrad: Removing Noise by Adding Noise, 2017.
    """
    if samples < 1 or noise < 0:
        raise ValueError(
            f"samples must be at least 1 and noise at least 0, got {samples} and {noise}"
        )
    require_score(of)
    x, y = read_rows(predict, features, labels)
    size = noise * row_shaped(x.max() - x.min() if spread is None else spread, x, "spread")
    found = _smoothed(predict, x, y, size, jax.random.split(key, samples), of=of)
    return require_finite(found, "gradients")


def integrated_gradients(
    predict: Predict,
    features: Rows,
    labels: Labels,
    *,
    baseline: Num[ArrayLike, "..."] = 0.0,
    nodes: int = 32,
    of: str = "logit",
) -> IntegratedGradients:
    r"""The gradient summed along the straight way from a baseline: attributions that add up.

        a_j = (x_j − b_j) ∫₀¹ ∂ s_y / ∂ x_j (b + t (x − b)) dt,   Σ_j a_j = s_y(x) − s_y(b)

    by Gauss–Legendre quadrature, which is exact for scores that are polynomials of degree
    2 · nodes along the way. Prefer it where parts must sum to the whole. The baseline is part of
    the question: "rather than what?". With a baseline of 0, what is 0 gets nothing.

    Args:
        predict: features [n, …] → logits [n, C], differentiable, each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the class whose score is explained.
        baseline: a number, one row, or a row for each row: an input that says nothing, such as a
            black image, or the mean of a standardized feature, 0.
        nodes: forward and backward passes, at least 1. A net of relu units has kinks along the
            way, and its `gap` falls about as 1/nodes.
        of: "logit" or "log_probability".

    Returns:
        `IntegratedGradients`; read its `gap` before you believe it.

    Raises:
        TypeError: features are not floating point.
        ValueError: as for `gradient_saliency`, or nodes is below 1, or baseline does not fit.

    Example:
        >>> square = lambda x: jnp.stack([x[:, 0] ** 2 * x[:, 1], 0 * x[:, 0]], axis=1)
        >>> x, y = jnp.array([[2.0, 3.0]]), jnp.array([0])
        >>> found = integrated_gradients(square, x, y, nodes=2)
        >>> found.attributions.round(4).tolist()  # 12 in parts of 2 : 1, the exponents
        [[8.0, 4.0]]

    Reference:
        M. Sundararajan, A. Taly, Q. Yan, Axiomatic Attribution for Deep Networks, 2017.
    """
    if nodes < 1:
        raise ValueError(f"nodes must be at least 1, got {nodes}")
    require_score(of)
    x, y = read_rows(predict, features, labels)
    start = row_shaped(baseline, x, "baseline")
    places, weights = np.polynomial.legendre.leggauss(nodes)
    quadrature = (jnp.asarray((places + 1) / 2, x.dtype), jnp.asarray(weights / 2, x.dtype))
    attributions = require_finite(_integrated(predict, x, y, start, quadrature, of=of), "gradients")
    scores, before = (np.asarray(label_scores(predict, at, y, of)) for at in (x, start))
    total = attributions.reshape(len(x), -1).sum(axis=1, dtype=np.float64)
    gap = total - (scores.astype(np.float64) - before)
    return IntegratedGradients(attributions, gap.astype(np.float32), scores, before)


def _gradients(predict, features, labels, of):
    require_score(of)
    x, y = read_rows(predict, features, labels)
    return require_finite(label_slopes(predict, x, y, of), "gradients")


@partial(jax.jit, static_argnames=("predict", "of"))
def _smoothed(predict, x, labels, size, keys, *, of):
    def add(total, key):
        return total + label_slopes(
            predict, x + size * jax.random.normal(key, x.shape), labels, of
        ), None

    return jax.lax.scan(add, jnp.zeros_like(x), keys)[0] / len(keys)


@partial(jax.jit, static_argnames=("predict", "of"))
def _integrated(predict, x, labels, start, quadrature, *, of):
    def add(total, node):
        place, weight = node
        return total + weight * label_slopes(predict, start + place * (x - start), labels, of), None

    return (x - start) * jax.lax.scan(add, jnp.zeros_like(x), quadrature)[0]
