"""Generated tokens are those of a plain loop over the model, and the key's alone."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.models import GPT, GPTConfig, generate
from xentjax.models.generation import _draw, _sample


@pytest.fixture(scope="module")
def model():
    model = GPT(
        GPTConfig(vocab_size=11, block_size=6, layers=1, heads=2, width=16, dropout=0.3),
        rngs=nnx.Rngs(0),
    )
    # Weights larger than at the start, so that one token is not as good as another.
    graphdef, state, rest = nnx.split(model, nnx.Param, ...)
    return nnx.merge(graphdef, jax.tree.map(lambda leaf: 10 * leaf, state), rest)


@functools.partial(jax.jit, static_argnums=0)
def likeliest_next(graphdef, state, tokens):
    model = nnx.merge(graphdef, state)
    model.eval()
    return jnp.argmax(model(tokens)[0, -1])


@pytest.mark.parametrize("prompt", [[3, 8, 1], [1, 2, 3, 4, 5, 6], [9, 9, 1, 2, 3, 4, 5, 6]])
def test_greedy_tokens_are_those_of_a_loop_over_the_unpadded_window(model, prompt):
    graphdef, state = nnx.split(model)
    want = list(prompt)
    for _ in range(9):
        want.append(int(likeliest_next(graphdef, state, jnp.asarray([want[-6:]]))))
    got = generate(model, prompt, length=9, temperature=0.0, key=jax.random.key(0))
    assert got.tolist() == want[len(prompt) :]


def test_top_one_is_greedy_at_any_temperature(model):
    greedy = generate(model, [1, 2], length=9, temperature=0.0, key=jax.random.key(0))
    top = generate(model, [1, 2], length=9, temperature=5.0, top_k=1, key=jax.random.key(1))
    cold = generate(model, [1, 2], length=9, temperature=1e-30, key=jax.random.key(2))
    assert greedy.tolist() == top.tolist() == cold.tolist()


def test_tokens_are_a_function_of_the_key(model):
    first, again, other = (
        generate(model, [1], length=30, temperature=2.0, key=jax.random.key(seed)).tolist()
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_draws_follow_the_softmax_of_the_likeliest_over_the_temperature():
    logits = jnp.log(jnp.array([0.1, 0.4, 0.2, 0.3]))
    keys = jax.random.split(jax.random.key(0), 20_000)
    drawn = jax.vmap(lambda key: _draw(logits, jnp.float32(0.5), 3, key))(keys)
    # Temperature ½ squares the probabilities; the least likely is out.
    want = np.array([0.0, 16, 4, 9]) / 29
    # Standard error at most 0.0036; five of them.
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, want, atol=0.018)
    assert not np.any(np.asarray(drawn) == 0)


def test_model_is_left_as_it_was(model):
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    model.train()
    generate(model, [1], length=30, key=jax.random.key(0))
    assert model.dropout.deterministic is False
    chex.assert_trees_all_equal(before, nnx.to_pure_dict(nnx.state(model, nnx.Param)))


def test_prompts_keys_and_temperatures_share_one_compilation(model):
    generate(model, [1], length=30, key=jax.random.key(0))
    compiled = _sample._cache_size()
    for prompt, temperature in (([1, 2, 3], 0.5), (list(range(10)), 2.0)):
        generate(model, prompt, length=30, temperature=temperature, key=jax.random.key(1))
    assert _sample._cache_size() == compiled


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ([], {}, "at least one"),
        ([[1]], {}, r"shape \(1, 1\)"),
        ([0.5], {}, "float64"),
        ([11], {}, r"\[0, 11\), got 11"),
        ([-1, 3], {}, "got -1 … 3"),
        ([1], {"length": 0}, "length must be"),
        ([1], {"temperature": -1.0}, "temperature must be"),
        ([1], {"top_k": 12}, r"top_k must be in \[1, 11\] or None, got 12"),
    ],
)
def test_bad_arguments_are_refused(model, prompt, options, message):
    with pytest.raises(ValueError, match=message):
        generate(model, prompt, **{"length": 2, "key": jax.random.key(0), **options})
