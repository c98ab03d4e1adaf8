"""The GPT is causal, begins near log V, ties its head, and works functionally."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.models import GPT, GPTConfig

CONFIG = GPTConfig(vocab_size=50, block_size=16, layers=2, heads=2, width=32)
TOKENS = jax.random.randint(jax.random.key(0), (3, 16), 0, 50)


@pytest.fixture(scope="module")
def model():
    return GPT(CONFIG, rngs=nnx.Rngs(0))


@functools.partial(jax.jit, static_argnums=0)
def forward(graphdef, state, tokens):
    model = nnx.merge(graphdef, state)
    return model.hidden(tokens), model(tokens)


def hidden_of(model, tokens):
    return forward(*nnx.split(model), tokens)[0]


def logits_of(model, tokens):
    return forward(*nnx.split(model), tokens)[1]


@pytest.mark.parametrize("changed", [1, 7, 15])
def test_a_later_token_changes_no_earlier_logits(model, changed):
    other = TOKENS.at[:, changed].add(1) % 50
    before, after = logits_of(model, TOKENS), logits_of(model, other)
    np.testing.assert_array_equal(before[:, :changed], after[:, :changed])
    # Everything from there on sees it.
    assert np.all(np.max(np.abs(before - after)[:, changed:], axis=-1) > 0)


def test_examples_of_a_batch_do_not_see_each_other(model):
    alone = jnp.concatenate([logits_of(model, TOKENS[i : i + 1]) for i in range(3)])
    # One matrix product of other shape: a few roundings of logits of order 1.
    np.testing.assert_allclose(logits_of(model, TOKENS), alone, rtol=0, atol=1e-5)


def test_prefix_has_the_logits_it_has_in_the_whole(model):
    np.testing.assert_allclose(
        logits_of(model, TOKENS[:, :5]), logits_of(model, TOKENS)[:, :5], rtol=0, atol=1e-5
    )


def test_order_of_earlier_tokens_matters(model):
    swapped = TOKENS.at[:, 0].set(TOKENS[:, 1]).at[:, 1].set(TOKENS[:, 0])
    assert np.max(np.abs(logits_of(model, swapped) - logits_of(model, TOKENS))[:, -1]) > 1e-4


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_parameters_are_as_many_as_the_formula_says(tied, layers):
    config = dataclasses.replace(CONFIG, tied=tied, layers=layers)
    params = nnx.state(GPT(config, rngs=nnx.Rngs(0)), nnx.Param)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == config.parameters
    # By hand, for V = 50, D = 32: 1600 + layers · (12288 + 64) + 32, and the head's 1600.
    assert config.parameters == 1632 + layers * 12_352 + (0 if tied else 1600)


def test_default_config_has_820_thousand_parameters():
    # 256·128 + 4·(12·128² + 256) + 128
    assert GPTConfig(vocab_size=256).parameters == 820_352


@pytest.mark.parametrize("tied", [True, False])
def test_first_loss_is_near_log_of_the_vocabulary(tied):
    config = GPTConfig(vocab_size=256, block_size=32, layers=2, tied=tied)
    tokens = jax.random.randint(jax.random.key(1), (8, 33), 0, 256)
    logits = np.asarray(logits_of(GPT(config, rngs=nnx.Rngs(0)), tokens[:, :-1]), np.float64)
    log_z = np.log(np.exp(logits).sum(axis=-1))
    label_logits = np.take_along_axis(logits, np.asarray(tokens)[:, 1:, None], axis=-1)[..., 0]
    # Logits of standard deviation 0.02·√128 = 0.23 add 0.026, a tied head's liking for its own
    # token 0.05; 256 labels have a standard error of 0.02.
    assert abs(np.mean(log_z - label_logits) - math.log(256)) < 0.15


def test_weights_into_the_residual_stream_shrink_with_depth():
    block = GPT(GPTConfig(vocab_size=8, layers=8), rngs=nnx.Rngs(0)).blocks[3]
    # 128² draws or more: a standard error of 0.6 % at most; five of them.
    for layer, std in (
        (block.qkv, 0.02),
        (block.mlp_in, 0.02),
        (block.attention_out, 0.02 / 4),
        (block.mlp_out, 0.02 / 4),
    ):
        assert float(jnp.std(layer.kernel[...])) == pytest.approx(std, rel=0.03)


def test_tied_head_is_the_embedding_and_takes_its_gradient(model):
    np.testing.assert_array_equal(model.head_weight, model.embedding[...].T)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    absent = 50 - 1
    tokens = jnp.minimum(TOKENS, absent - 1)

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.sum(nnx.merge(graphdef, params, rest)(tokens)[..., absent])

    # The row of a token that is not in the input gets its gradient from the head alone.
    got = gradient(params)["embedding"][...][absent]
    np.testing.assert_allclose(got, hidden_of(model, tokens).sum(axis=(0, 1)), rtol=1e-4, atol=1e-4)


def test_untied_head_is_a_matrix_of_its_own():
    model = GPT(dataclasses.replace(CONFIG, tied=False), rngs=nnx.Rngs(0))
    assert model.head_weight.shape == (32, 50)
    assert not np.array_equal(model.head_weight, model.embedding[...].T)
    want = np.asarray(hidden_of(model, TOKENS)) @ np.asarray(model.head_weight)
    np.testing.assert_allclose(logits_of(model, TOKENS), want, rtol=0, atol=1e-5)


def test_logits_are_hidden_states_times_head_weight(model):
    want = np.asarray(hidden_of(model, TOKENS)) @ np.asarray(model.head_weight)
    assert hidden_of(model, TOKENS).shape == (3, 16, 32)
    np.testing.assert_allclose(logits_of(model, TOKENS), want, rtol=0, atol=1e-5)


def test_forward_pass_agrees_with_plain_numpy():
    config = dataclasses.replace(CONFIG, layers=1)
    model = GPT(config, rngs=nnx.Rngs(3))
    # Sharp weights, so that attention is far from uniform and every part tells.
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    params = jax.tree.map(lambda leaf: 8 * leaf if leaf.ndim > 1 else 1.5 * leaf, params)
    model = nnx.merge(graphdef, params, rest)
    want = numpy_logits(model, np.asarray(TOKENS[0]))
    np.testing.assert_allclose(logits_of(model, TOKENS)[0], want, rtol=1e-3, atol=1e-3)
    assert np.std(want) > 1


def numpy_logits(model, tokens):
    """One block, one example, in float64, one head at a time."""

    def get(variable):
        return np.asarray(variable[...], np.float64)

    def norm(x, layer):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * get(layer.scale)

    def turn(x):
        half = x.shape[1] // 2
        angle = np.arange(len(x))[:, None] * 10_000.0 ** (-np.arange(half) / half)
        turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angle)
        return np.concatenate([turned.real, turned.imag], axis=1)

    block, width = model.blocks[0], model.config.width
    x = get(model.embedding)[tokens]
    query, key, value = np.split(norm(x, block.attention_norm) @ get(block.qkv.kernel), 3, axis=1)
    heads = []
    for head in range(2):
        columns = slice(head * 16, head * 16 + 16)
        scores = turn(query[:, columns]) @ turn(key[:, columns]).T / math.sqrt(16)
        scores[np.triu_indices(len(tokens), 1)] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, columns])
    x = x + np.concatenate(heads, axis=1).reshape(-1, width) @ get(block.attention_out.kernel)
    up = norm(x, block.mlp_norm) @ get(block.mlp_in.kernel)
    x = x + np.maximum(up, 0) ** 2 @ get(block.mlp_out.kernel)
    return norm(x, model.norm) @ get(model.embedding).T


def test_dropout_is_off_in_evaluation():
    model = GPT(dataclasses.replace(CONFIG, dropout=0.5), rngs=nnx.Rngs(0))
    plain = GPT(CONFIG, rngs=nnx.Rngs(0))
    model.eval()
    np.testing.assert_array_equal(logits_of(model, TOKENS), logits_of(plain, TOKENS))


def test_split_merge_jit_and_grad_work_in_training_with_dropout_that_moves_on():
    model = GPT(dataclasses.replace(CONFIG, dropout=0.2), rngs=nnx.Rngs(0))
    model.train()
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def objective(params, rest):
        model = nnx.merge(graphdef, params, rest, copy=True)
        return jnp.mean(model(TOKENS) ** 2), nnx.split(model, nnx.Param, ...)[2]

    step = jax.jit(jax.value_and_grad(objective, has_aux=True))
    (first, moved), grads = step(params, rest)
    (again, _), _ = step(params, rest)
    (second, _), _ = step(params, moved)
    assert first == again
    assert first != second
    assert all(np.any(np.asarray(grad)) for grad in jax.tree.leaves(grads))


@pytest.mark.parametrize("bad", [-1, 50])
def test_token_outside_the_vocabulary_gives_nan_and_not_another_tokens_logits(model, bad):
    tokens = TOKENS.at[0, 3].set(bad)
    logits = logits_of(model, tokens)
    assert np.all(np.isnan(logits[0, 3]))
    assert np.all(np.isfinite(logits[1:]))


def test_sequences_longer_than_the_block_are_refused(model):
    with pytest.raises(ValueError, match="block_size = 16 long, got 17"):
        model(jnp.zeros((1, 17), jnp.int32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"width": 30, "heads": 4}, r"multiple of 2·heads = 8.*got 30"),
        ({"dropout": -0.1}, "dropout must be"),
    ],
)
def test_impossible_configs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GPTConfig(**{"vocab_size": 50, **options})
