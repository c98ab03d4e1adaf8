"""Cases of the contrastive losses: each example's loss depends on the whole batch."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import optax

from bench.cases.case import LossCase, normal, pair
from xentjax.losses.contrastive import clip_loss, info_nce
from xentjax.losses.pairwise_sigmoid import siglip_loss
from xentjax.losses.positives import supervised_contrastive

# What the clauses say of single examples holds of whole batches, and is shown so in
# tests/losses/test_embeddings.py, on a stack of batches and on examples shared by devices.
OF_A_BATCH = {
    "vmap_equals_loop": "an example alone has no negatives; shown on a stack of batches",
    "masked_equals_sliced": "its single-entry mask is held against the unmasked batch, which has "
    "more negatives; masked = sliced is shown beside",
    "masked_class": "the entries of an embedding are no classes",
    "transforms": "its scan takes examples one by one; shown on a stack of batches",
    "sharded_equals_single": "its devices each see a batch of their own; shown with axis_name",
}
OF_DIRECTIONS = OF_A_BATCH | {
    "hessian_finite": "it holds differences against the Hessian at the zero vector, which has no "
    "direction; shown finite in every mode beside",
}
DIRECTED = {"argnums": (0, 1), "leave_out": OF_DIRECTIONS}
SIZE = (1024, 256)


def views(rng: np.random.Generator, n: int, width: int) -> tuple[np.ndarray, ...]:
    """Two views of n images as embeddings [2n, D], and which image each shows."""
    return normal(rng, 2 * n, width), np.tile(np.arange(n, dtype=np.int32), 2)


def torch_similarities(anchors, candidates, scale):
    import torch  # pyright: ignore[reportMissingImports] (an extra; called where it is there)

    directions = torch.nn.functional.normalize
    return scale * directions(anchors, dim=-1) @ directions(candidates, dim=-1).T


def torch_nll(logits):
    import torch  # pyright: ignore[reportMissingImports] (as above)

    own = torch.arange(len(logits), device=logits.device)
    return torch.nn.functional.cross_entropy(logits, own, reduction="none")


def torch_clip(images, texts):
    logits = torch_similarities(images, texts, 1 / 0.07)
    return (torch_nll(logits) + torch_nll(logits.T)) / 2


def torch_siglip(images, texts):
    import torch  # pyright: ignore[reportMissingImports] (as above)

    logits = torch_similarities(images, texts, 10.0) - 10.0
    signs = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -torch.nn.functional.logsigmoid(signs * logits).sum(-1)


def optax_ntxent(embeddings, labels):
    # It returns the mean only; so many copies of it have the sum of the losses.
    return jnp.broadcast_to(optax.ntxent(embeddings, labels, 0.07), labels.shape)


CASES: dict[str, LossCase] = {
    "InfoNCE": LossCase(
        info_nce,
        pair,
        contract=DIRECTED,
        torch=lambda q, k: torch_nll(torch_similarities(q, k, 1 / 0.07)),
        size=SIZE,
    ),
    "InfoNCE of dot products": LossCase(
        partial(info_nce, normalize=False, temperature=1.0),
        pair,
        contract={"argnums": (0, 1), "leave_out": OF_A_BATCH},
        torch=lambda q, k: torch_nll(q @ k.T),
        size=SIZE,
    ),
    "CLIP": LossCase(clip_loss, pair, contract=DIRECTED, torch=torch_clip, size=SIZE),
    "SigLIP": LossCase(siglip_loss, pair, contract=DIRECTED, torch=torch_siglip, size=SIZE),
    "SigLIP in chunks": LossCase(
        partial(siglip_loss, chunk=3), pair, contract=DIRECTED, torch=torch_siglip, size=SIZE
    ),
    "supervised contrastive": LossCase(
        supervised_contrastive,
        views,
        contract={"leave_out": OF_DIRECTIONS},
        optax=optax_ntxent,
        size=(256, 256),  # at 1024 a run of optax takes twenty seconds
        only_mean=True,
    ),
}
