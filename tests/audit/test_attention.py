"""The weights are those the model attends by, and rollout is their product."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit.attention import attention_rollout, trace_attention
from xentjax.models import GPT, GPTConfig
from xentjax.models.rotary import turns

TOKENS = np.random.default_rng(0).integers(0, 20, 12)


@pytest.fixture(scope="module")
def model():
    shape = GPTConfig(vocab_size=20, block_size=12, layers=3, heads=2, width=16)
    drawn = GPT(shape, rngs=nnx.Rngs(0))
    # Sharper than initial weights, so that attention is far from uniform.
    for block in drawn.blocks:
        block.attention.qkv.kernel[...] = 60 * block.attention.qkv.kernel[...]
    drawn.eval()
    return drawn


@pytest.fixture(scope="module")
def traced(model):
    return trace_attention(model, TOKENS)


def test_weights_times_values_are_what_the_attention_gives(model, traced):
    table = turns(jnp.arange(12), features=8)
    assert traced.weights[:, :, -1].max() > 0.2  # where uniform attention has 1/12
    for layer, block in enumerate(model.blocks):
        rows = block.attention_norm(jnp.asarray(traced.hidden[layer]))
        qkv = np.asarray(block.attention.qkv(rows), np.float64).reshape(12, 6, 8)
        mixed = np.einsum("hts,shf->thf", traced.weights[layer], qkv[:, 4:]).reshape(12, 16)
        ours = mixed @ np.asarray(block.attention.out.kernel[...], np.float64)
        # Float32 sums of 12 products of order 1.
        np.testing.assert_allclose(ours, block.attention(rows, table), atol=1e-5)


def test_the_states_are_those_of_the_model(model, traced):
    wanted = model.hidden(jnp.asarray(TOKENS, jnp.int32)[None])[0]
    np.testing.assert_allclose(model.norm(jnp.asarray(traced.hidden[-1])), wanted, atol=1e-5)
    assert traced.hidden.shape == (4, 12, 16)


def test_rows_sum_to_one_and_nobody_looks_ahead(traced):
    for shares in (traced.weights, attention_rollout(traced.weights)):
        np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-5)
        ahead = np.triu(np.ones((12, 12), bool), 1)
        assert not shares[..., ahead].any()
        assert (shares >= 0).all()


def test_rollout_is_the_sum_over_paths():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), size=(2, 2, 3))
    first, second = (0.5 * layer.mean(axis=0) + 0.5 * np.eye(3) for layer in weights)
    paths = [
        [sum(second[t, via] * first[via, s] for via in range(3)) for s in range(3)]
        for t in range(3)
    ]
    np.testing.assert_allclose(attention_rollout(weights), paths, atol=1e-12)


def test_a_model_that_looks_at_itself_rolls_out_to_itself():
    itself = np.broadcast_to(np.eye(5), (4, 2, 5, 5))
    np.testing.assert_array_equal(attention_rollout(itself), np.eye(5))


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda m: trace_attention(m, np.zeros(13, np.int32)), "at most 12"),
        (lambda m: trace_attention(m, np.array([20])), "lie in"),
        (lambda m: trace_attention(m, np.zeros(0, np.int32)), r"tokens must be \[T\]"),
        (lambda _: attention_rollout(np.ones((1, 1, 2, 2))), "sum to 1"),
        (lambda _: attention_rollout(np.zeros((1, 1, 0, 0))), "got shape"),
    ],
)
def test_bad_input_is_named(model, call, wanted):
    with pytest.raises(ValueError, match=wanted):
        call(model)
