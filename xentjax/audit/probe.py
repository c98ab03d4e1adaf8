"""Probes: what every question put to a trained classifier asks of its rows, checked once.

Gradients, attacks and corruptions all call `predict` on changed features. They are right only if
the features can be changed by a little (floating point), the labels name logits, and the model in
evaluation mode looks at each row alone.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from xentjax.audit.given import Given, array_of, labels_of, require_below, require_finite_rows

Predict: TypeAlias = Callable[[Any], Any]
Rows: TypeAlias = Given
Labels: TypeAlias = Given


def read_rows(predict: Predict, features: Rows, labels: Labels) -> tuple[jax.Array, jax.Array]:
    """Features and labels as arrays, or an error that says what does not fit."""
    x = array_of(features, "features")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"features must be floating point to be changed by a little, got {x.dtype}; for token "
            "ids probe the embeddings instead"
        )
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(f"features must be [n, ...] with at least one row, got shape {x.shape}")
    require_finite_rows(x, "features")
    y = labels_of(labels, rows=len(x))
    logits = jax.eval_shape(predict, jax.ShapeDtypeStruct(x.shape, jnp.float32))
    if logits.ndim != 2 or logits.shape[0] != len(x):
        raise ValueError(f"predict must return [{len(x)}, classes], got shape {logits.shape}")
    require_below(y, "labels", logits.shape[1])
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.int32)


def require_finite(values: Any, name: str) -> np.ndarray:
    """The values in numpy, or a ValueError naming the first that is no number."""
    found = np.asarray(values)
    if not np.isfinite(found).all():
        position = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise ValueError(
            f"{name} must be finite, got {found[position]} at position {position}; the model's "
            "logits or their gradients overflow there"
        )
    return found


def like_rows(values: jax.Array, rows: jax.Array) -> jax.Array:
    """[n] as [n, 1, …], to stand beside rows."""
    return values.reshape(values.shape + (1,) * (rows.ndim - 1))


def row_shaped(value: ArrayLike, rows: jax.Array, name: str) -> jax.Array:
    """A number, one row or rows, as an array of the shape of the rows."""
    given = jnp.asarray(value, jnp.float32)
    if given.shape not in ((), rows.shape[1:], rows.shape):
        raise ValueError(
            f"{name} must be a number, one row {rows.shape[1:]} or as many rows as features, got "
            f"shape {given.shape}"
        )
    missing = rows.ndim - given.ndim
    return jnp.broadcast_to(given.reshape((1,) * missing + given.shape), rows.shape)


def require_score(of: str) -> None:
    """Raises ValueError unless the name is that of a score."""
    if of not in ("logit", "log_probability"):
        raise ValueError(f"of must be 'logit' or 'log_probability', got {of!r}")


@partial(jax.jit, static_argnames=("predict", "of"))
def label_scores(predict: Predict, rows: jax.Array, labels: jax.Array, of: str) -> jax.Array:
    """The score of each row's label, float32 [n]."""
    scores = predict(rows).astype(jnp.float32)
    if of == "log_probability":
        scores = jax.nn.log_softmax(scores)
    return jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]


@partial(jax.jit, static_argnames=("predict", "of"))
def label_slopes(predict: Predict, rows: jax.Array, labels: jax.Array, of: str) -> jax.Array:
    """The gradient of each row's score: rows do not see each other, so that of the sum holds it."""
    return jax.grad(lambda at: label_scores(predict, at, labels, of).sum())(rows)
