"""Masks tell matrices from what is looked up, added or scaled, by paths and shapes."""

import jax
import numpy as np
from flax import nnx

from xentjax.models import GPT, MLP, GPTConfig, MLPConfig
from xentjax.optim import adamw, decay_mask, hidden_matrices


def shapes_of(make):
    """The parameters of a model as shapes: no array is made."""
    return nnx.state(nnx.eval_shape(make), nnx.Param)


def decayed_paths(make):
    mask = decay_mask(shapes_of(make))
    flat = jax.tree_util.tree_flatten_with_path(mask)[0]
    return {jax.tree_util.keystr(path): decays for path, decays in flat}


def test_mask_of_the_mlp_is_its_kernels():
    paths = decayed_paths(lambda: MLP(MLPConfig(4, (3, 2)), rngs=nnx.Rngs(0)))
    assert len(paths) == 6
    for path, decays in paths.items():
        assert decays == ("kernel" in path), path


def test_mask_of_the_gpt_leaves_out_embedding_and_norms():
    config = GPTConfig(vocab_size=8, layers=2, heads=1, width=4, tied=False)
    paths = decayed_paths(lambda: GPT(config, rngs=nnx.Rngs(0)))
    kernels = [path for path, decays in paths.items() if decays]
    assert len(kernels) == 2 * 4 + 1
    assert all("kernel" in path for path in kernels)
    assert not [path for path in paths if "kernel" in path and path not in kernels]


def test_mask_leaves_out_a_matrix_whose_name_says_so():
    names = ["kernel", "Bias", "LayerNorm_0", "scale", "token_embedding"]
    mask = decay_mask({name: np.ones((2, 2)) for name in names})
    assert mask == {name: name == "kernel" for name in names}


def test_decay_leaves_biases_and_norms_exactly_alone_on_a_model():
    config = GPTConfig(vocab_size=8, layers=1, heads=1, width=4)
    shapes = shapes_of(lambda: GPT(config, rngs=nnx.Rngs(0)))
    state = jax.tree.map(lambda s: np.full(s.shape, 2.0, s.dtype), shapes)
    zero = jax.tree.map(np.zeros_like, state)
    rule = adamw(0.1, weight_decay=0.5)
    updates = jax.jit(lambda params: rule.update(zero, rule.init(params), params)[0])(state)
    for update, param, decays in zip(
        *map(jax.tree.leaves, (updates, state, decay_mask(state))), strict=True
    ):
        want = -0.05 * param if decays else np.zeros_like(param)
        np.testing.assert_allclose(update, want, rtol=1e-6)


def test_muon_gets_the_blocks_of_the_gpt_and_not_its_head_or_embedding():
    config = GPTConfig(vocab_size=8, layers=1, heads=1, width=4, tied=False)
    params = shapes_of(lambda: GPT(config, rngs=nnx.Rngs(0)))
    flat = jax.tree_util.tree_flatten_with_path(hidden_matrices(params))[0]
    chosen = [jax.tree_util.keystr(path) for path, yes in flat if yes]
    assert len(chosen) == 4
    assert all("blocks" in path and "kernel" in path for path in chosen)


def test_a_head_is_told_by_the_end_of_a_name():
    heads = ["head", "lm_head", "Head_0", "LMHead", "logits", "unembed", "classifier"]
    hidden = ["multi_head_attention", "heads", "header", "kernel"]
    mask = hidden_matrices({name: {"kernel": np.ones((2, 2))} for name in [*heads, *hidden]})
    assert {name: parts["kernel"] for name, parts in mask.items()} == {
        **dict.fromkeys(heads, False),
        **dict.fromkeys(hidden, True),
    }


def test_only_arrays_of_two_dimensions_are_matrices():
    mask = hidden_matrices({str(n): np.ones((2,) * n) for n in range(5)})
    assert mask == {"0": False, "1": False, "2": True, "3": False, "4": False}
