"""Cases of losses with another normalization than softmax, and of consistency."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import optax

from bench.cases.case import LossCase, labelled, normal
from xentjax.losses.bi_tempered import bi_tempered_loss
from xentjax.losses.consistency import jensen_shannon_consistency, r_drop
from xentjax.losses.fenchel_young import entmax_loss, sparsemax_loss


def _views(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    """Three predictions of each example [n, 3, C]."""
    return (normal(rng, n, 3, classes),)


def _two_passes(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    logits, labels = labelled(rng, n, classes)
    return logits, normal(rng, n, classes), labels


CASES: dict[str, LossCase] = {
    "bi-tempered": LossCase(bi_tempered_loss, labelled),
    "bi-tempered, t traced": LossCase(
        partial(bi_tempered_loss, t1=jnp.asarray(0.7), t2=jnp.asarray(1.35)), labelled
    ),
    "entmax 1.5": LossCase(entmax_loss, labelled),
    "entmax, alpha traced": LossCase(partial(entmax_loss, alpha=jnp.asarray(1.3)), labelled),
    "sparsemax": LossCase(sparsemax_loss, labelled, optax=optax.losses.multiclass_sparsemax_loss),
    "JS consistency": LossCase(
        jensen_shannon_consistency, _views, {"event_dims": 2}, size=(2048, 1000)
    ),
    "R-Drop": LossCase(r_drop, _two_passes, {"argnums": (0, 1)}),
}
