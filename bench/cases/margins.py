"""Cases of the margin and ranking losses."""

from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.cases.case import LossCase, distributed, labelled
from xentjax.losses.angular_margin import arcface_loss, cosface_loss
from xentjax.losses.hinge import multiclass_hinge_loss
from xentjax.losses.listwise import listwise_softmax_loss
from xentjax.losses.sampled_softmax import log_uniform_sample, sampled_softmax_cross_entropy

_CLASSES = 7  # more than the contract's three, so that labels from its draw are all classes
_NO_CLASS = {"leave_out": {"masked_class": "a coordinate of an embedding is no class"}}


@cache
def _weight(dimensions: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.standard_normal((dimensions, _CLASSES), dtype=np.float32)


def _embedded(rng: np.random.Generator, n: int, dimensions: int) -> tuple[np.ndarray, ...]:
    """Embeddings [n, D] and labels among the columns of the weight."""
    rows, _ = labelled(rng, n, dimensions)
    return rows, rng.integers(_CLASSES, size=n, dtype=np.int32)


def _angular(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss with its weight bound, and the origin of the embeddings moved off 0.

    At zeros, where the contract looks too, an embedding has no direction, so no derivative.
    """

    @wraps(loss)
    def bound(embeddings, labels, **options):
        weight = _weight(embeddings.shape[-1])
        return loss(embeddings + weight[:, 0][None, :] / 2, weight, labels, **options)

    return bound


@wraps(sampled_softmax_cross_entropy)
def _sampled(hidden, labels, **options):
    sampled = log_uniform_sample(jax.random.key(0), count=5, classes=_CLASSES)
    weight = _weight(hidden.shape[-1])
    return sampled_softmax_cross_entropy(hidden, weight, labels, sampled, **options)


def _spread(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss with a bias for each class: no kink where the contract looks, at zeros."""

    @wraps(loss)
    def biased(logits, labels, **options):
        wide = jnp.promote_types(logits.dtype, jnp.float32)  # a sum in 16 bits would be another
        bias = jnp.linspace(0, 0.5, logits.shape[-1], dtype=wide)
        return loss(logits + jnp.broadcast_to(bias, logits.shape), labels, **options)

    return biased


CASES: dict[str, LossCase] = {
    "CosFace": LossCase(_angular(cosface_loss), _embedded, _NO_CLASS),
    "ArcFace": LossCase(_angular(arcface_loss), _embedded, _NO_CLASS),
    "sampled softmax": LossCase(_sampled, _embedded, _NO_CLASS),
    "multi-class hinge": LossCase(
        _spread(multiclass_hinge_loss), labelled, optax=_spread(optax.losses.multiclass_hinge_loss)
    ),
    "listwise softmax": LossCase(
        listwise_softmax_loss,
        distributed,
        optax=partial(optax.losses.ranking_softmax_loss, reduce_fn=None),
    ),
}
