"""Which parameters a rule applies to, told from their paths and shapes.

A mask is a function from parameters to a tree of bools, as `optax.masked` takes it. Pass your
own where these words do not fit your model's names.
"""

import re
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

_UNDECAYED = ("bias", "norm", "scale", "embed")
_HEADS = ("head", "logits", "classifier", "readout", "unembed")


def decay_mask(params: PyTree) -> PyTree:
    """Says which parameters weight decay may shrink: matrices that are not looked up.

    True for an array of two or more dimensions with no part of its path containing "bias",
    "norm", "scale" or "embed". Biases and norms set offsets and scales, which decay only
    distorts. A row of an embedding gets a gradient when its token occurs and would get decay at
    every step, so that rare tokens fade; a tied head, being the embedding, is left alone too.

    Args:
        params: arrays in any tree: dictionaries, nnx.State, dataclasses.

    Returns:
        A tree of bools of the same structure.

    Example:
        >>> params = {"kernel": np.ones((2, 2)), "bias": np.ones(2), "embedding": np.ones((2, 2))}
        >>> decay_mask(params)
        {'bias': False, 'embedding': False, 'kernel': True}
    """

    def decays(path: tuple[Any, ...], leaf: Any) -> bool:
        names = jax.tree_util.keystr(path).lower()
        return np.ndim(leaf) >= 2 and not any(word in names for word in _UNDECAYED)

    return jax.tree_util.tree_map_with_path(decays, params)


def hidden_matrices(params: PyTree) -> PyTree:
    """Says which parameters are matrices between hidden states: those that `muon` is for.

    True for an array of exactly two dimensions that `decay_mask` decays, unless a part of its
    path names a head: it ends in "head", "logits", "classifier", "readout" or "unembed", digits
    aside (`head`, `lm_head`, `head_0`; not `multi_head_attention`, nor `heads`). A head's
    outputs are classes, each with a scale of its own, which orthogonal steps would not keep.
    Convolutions, and layers stacked along a leading axis, have more dimensions and are False.

    Args:
        params: arrays in any tree: dictionaries, nnx.State, dataclasses.

    Returns:
        A tree of bools of the same structure.

    Example:
        >>> names = ["embedding", "lm_head", "multi_head_attention"]
        >>> hidden_matrices({name: np.ones((2, 2)) for name in names})
        {'embedding': False, 'lm_head': False, 'multi_head_attention': True}
    """

    def is_hidden(path: tuple[Any, ...], leaf: Any, decays: bool) -> bool:
        names = re.findall(r"\w+", jax.tree_util.keystr(path).lower())
        last_words = (re.sub(r"[\d_]+$", "", name).split("_")[-1] for name in names)
        return (
            decays and np.ndim(leaf) == 2 and not any(word.endswith(_HEADS) for word in last_words)
        )

    return jax.tree_util.tree_map_with_path(is_hidden, params, decay_mask(params))
