"""Cases of losses with another normalization than softmax, and of consistency."""

from functools import partial

import jax.numpy as jnp
import optax

from bench.cases.case import LossCase, labelled
from xentjax.losses.fenchel_young import entmax_loss, sparsemax_loss

CASES: dict[str, LossCase] = {
    "entmax 1.5": LossCase(entmax_loss, labelled),
    "entmax, alpha traced": LossCase(partial(entmax_loss, alpha=jnp.asarray(1.3)), labelled),
    "sparsemax": LossCase(sparsemax_loss, labelled, optax=optax.losses.multiclass_sparsemax_loss),
}
