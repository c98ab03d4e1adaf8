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
    drawn = jax.vmap(lambda key: _draw(logits, jnp.float32(0.5), 3, None, key))(keys)
    # Temperature ½ squares the probabilities; the least likely is out.
    want = np.array([0.0, 16, 4, 9]) / 29
    # Standard error at most 0.0036; five of them.
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, want, atol=0.018)
    assert not np.any(np.asarray(drawn) == 0)


def test_nucleus_is_the_fewest_likeliest_that_reach_top_p():
    logits = jnp.log(jnp.array([0.1, 0.4, 0.2, 0.3]))
    keys = jax.random.split(jax.random.key(0), 2_000)

    def drawn(temperature, top_k, top_p):
        draw = jax.vmap(lambda key: _draw(logits, temperature, top_k, top_p, key))
        return set(np.unique(draw(keys)).tolist())

    assert drawn(1.0, None, 1.0) == {0, 1, 2, 3}
    assert drawn(1.0, None, 0.71) == {1, 2, 3}
    assert drawn(1.0, None, 0.69) == {1, 3}
    assert drawn(1.0, None, 1e-6) == {1}
    # Among the two likeliest the first has 4/7; at temperature ½, 16/25 of them.
    assert drawn(1.0, 2, 0.6) == {1, 3}
    assert drawn(0.5, 2, 0.6) == {1}


@functools.partial(jax.jit, static_argnums=0)
def window_logits(graphdef, state, window, filled):
    model = nnx.merge(graphdef, state)
    model.eval()
    return model(window)[0, filled - 1]


@pytest.mark.parametrize("mlp", [pytest.param("relu2", marks=pytest.mark.slow), "swiglu"])
@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.0}, {"temperature": 0.8, "top_k": 7}, {"temperature": 1.3, "top_p": 0.9}],
)
def test_cached_tokens_are_those_of_a_pass_over_the_whole_text(mlp, options):
    # Untied: a sharp tied head likes its own token so much that it repeats it for ever.
    shape = {"layers": 3, "heads": 2, "width": 16, "tied": False}
    config = GPTConfig(vocab_size=11, block_size=20, mlp=mlp, **shape)
    graphdef, params, rest = nnx.split(GPT(config, rngs=nnx.Rngs(1)), nnx.Param, ...)
    params = jax.tree.map(lambda leaf: 8 * leaf if leaf.ndim > 1 else leaf, params)
    model = nnx.merge(graphdef, params, rest)
    key, prompt = jax.random.key(5), [3, 8, 1]
    got = generate(model, prompt, length=17, **options, key=key).tolist()
    graphdef, state = nnx.split(model)
    window, want = np.zeros((1, 20), np.int32), list(prompt)
    for step_key in jax.random.split(key, 17):
        window[0, : len(want)] = want
        logits = window_logits(graphdef, state, window, len(want))
        greedy = options["temperature"] == 0
        top_k = 1 if greedy else options.get("top_k")
        token = _draw(
            logits[None], options["temperature"] or 1.0, top_k, options.get("top_p"), step_key
        )
        want.append(int(token[0]))
    assert got == want[3:]
    assert len(set(got)) > 2


@pytest.mark.slow
def test_beyond_the_block_deeper_models_remember_more_than_the_window():
    config = GPTConfig(vocab_size=11, block_size=6, layers=3, heads=2, width=16)
    graphdef, params, rest = nnx.split(GPT(config, rngs=nnx.Rngs(1)), nnx.Param, ...)
    model = nnx.merge(graphdef, jax.tree.map(lambda leaf: 8 * leaf, params), rest)
    # The text differs in its first token only, which has left the window after six steps.
    logits = []
    decode = jax.jit(model.decode)
    for first in (2, 3):
        _, caches = model.prefill(jnp.array([[first, 1, 4, 5, 6, 7]]))
        for position, token in enumerate([8, 9], start=6):
            _, caches = decode(jnp.array([token]), caches, jnp.int32(position))
        logits.append(decode(jnp.array([10]), caches, jnp.int32(8))[0])
    assert np.max(np.abs(logits[0] - logits[1])) > 1e-3


def test_a_batch_of_prompts_continues_each_as_it_would_alone(model):
    prompts = [[3, 8, 1], [1, 2, 3], [9, 9, 1]]
    options = {"length": 9, "temperature": 0.0, "key": jax.random.key(0)}
    together = generate(model, prompts, **options)
    assert together.tolist() == [generate(model, p, **options).tolist() for p in prompts]
    sampled = generate(model, [[1], [1]], length=30, temperature=2.0, key=jax.random.key(0))
    assert sampled[0].tolist() != sampled[1].tolist()


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
        ([[[1]]], {}, r"shape \(1, 1, 1\)"),
        ([0.5], {}, "float64"),
        ([11], {}, r"\[0, 11\), got 11"),
        ([-1, 3], {}, "got -1 … 3"),
        ([1], {"length": 0}, "length must be"),
        ([1], {"temperature": -1.0}, "temperature must be"),
        ([1], {"top_k": 12}, r"top_k must be in \[1, 11\] or None, got 12"),
        ([1], {"top_p": 0.0}, r"top_p must be in \(0, 1\] or None, got 0.0"),
        ([1], {"top_p": 1.1}, r"top_p must be in \(0, 1\] or None, got 1.1"),
    ],
)
def test_bad_arguments_are_refused(model, prompt, options, message):
    with pytest.raises(ValueError, match=message):
        generate(model, prompt, **{"length": 2, "key": jax.random.key(0), **options})
