"""The box an attack moves in, the hill it climbs, and what it counts as further up.

All attacks climb the log odds of a mistake,

    log Σ_{c ≠ y} e^{z_c} − z_y,

which has the direction of the cross-entropy's gradient, for −log p_y = softplus of it, but does
not vanish where the model is sure: an attack on a saturated loss sees zeros and reports safety.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from xentjax.audit.probe import Labels, Predict, Rows, like_rows, read_rows, row_shaped

Bound: TypeAlias = Num[ArrayLike, "..."]


class AttackBox(NamedTuple):
    """Within ε of the rows and within the range of features; all of the shape of the rows."""

    rows: jax.Array
    epsilon: jax.Array
    low: jax.Array
    high: jax.Array


def read_box(
    predict: Predict, features: Rows, labels: Labels, epsilon: Bound, low: Bound, high: Bound
) -> tuple[AttackBox, jax.Array]:
    """The box and the labels, or an error that says what does not fit."""
    x, y = read_rows(predict, features, labels)
    if not (np.asarray(epsilon) >= 0).all() or not np.isfinite(epsilon).all():
        raise ValueError(f"epsilon must be non-negative and finite, got {epsilon}")
    bounds = [row_shaped(v, x, n) for v, n in ((low, "low"), (high, "high"))]
    if not bool((bounds[0] <= bounds[1]).all()):
        raise ValueError("low must be at most high for every feature")
    # A row that is outside already may stay there: clipping it would be a change larger than ε.
    return AttackBox(
        x,
        row_shaped(epsilon, x, "epsilon"),
        jnp.minimum(bounds[0], x),
        jnp.maximum(bounds[1], x),
    ), y


def clipped(moved: jax.Array, box: AttackBox) -> jax.Array:
    """The nearest point of the box."""
    return jnp.clip(
        jnp.clip(moved, box.rows - box.epsilon, box.rows + box.epsilon), box.low, box.high
    )


def _log_odds(predict, x, labels):
    logits = predict(x).astype(jnp.float32)
    own = jnp.arange(logits.shape[1])[None] == labels[:, None]
    others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=1)
    return others - jnp.where(own, logits, 0).sum(axis=1)


def excess(predict: Predict, x: jax.Array, labels: jax.Array) -> jax.Array:
    """By how much another class leads: above 0 the answer is wrong, at 0 it is a tie."""
    logits = predict(x).astype(jnp.float32)
    own = jnp.arange(logits.shape[1])[None] == labels[:, None]
    lead = jnp.where(own, -jnp.inf, logits).max(axis=1) - jnp.where(own, logits, 0).sum(axis=1)
    # The first of equals is the answer; the least lead there is makes it wrong, or right.
    wrong = logits.argmax(axis=1) != labels
    return jnp.where((lead == 0) & wrong, jnp.finfo(jnp.float32).tiny, lead)


def attack_slopes(predict: Predict, x: jax.Array, labels: jax.Array) -> jax.Array:
    """The gradient of the log odds of a mistake."""
    return jax.grad(lambda at: _log_odds(predict, at, labels).sum())(x)


def further(
    predict: Predict, labels: jax.Array, x: jax.Array, best: jax.Array, lead: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Of each row the better of x and the best so far, and its lead."""
    new = excess(predict, x, labels)
    return jnp.where(like_rows(new > lead, x), x, best), jnp.maximum(new, lead)
