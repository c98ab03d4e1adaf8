"""The GPT is causal, begins near log V, ties its head, and works functionally."""

import dataclasses
import functools
import math

import chex
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


def test_swiglu_has_three_matrices_of_a_multiple_of_8_near_two_thirds_the_features():
    config = dataclasses.replace(CONFIG, mlp="swiglu")
    params = nnx.state(GPT(config, rngs=nnx.Rngs(0)), nnx.Param)
    assert config.mlp_width == 88  # 8·32/3 = 85.3
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == config.parameters


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
        (block.attention.qkv, 0.02),
        (block.mlp_in, 0.02),
        (block.attention.out, 0.02 / 4),
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


def sharpened(config, seed=3):
    """A model with weights so sharp that attention is far from uniform and every part tells."""
    graphdef, params, rest = nnx.split(GPT(config, rngs=nnx.Rngs(seed)), nnx.Param, ...)
    params = jax.tree.map(lambda leaf: 8 * leaf if leaf.ndim > 1 else 1.5 * leaf, params)
    return nnx.merge(graphdef, params, rest)


@pytest.mark.parametrize("mlp", ["gelu", "relu2", "swiglu"])
def test_forward_pass_agrees_with_plain_numpy(mlp):
    model = sharpened(dataclasses.replace(CONFIG, mlp=mlp))
    want = numpy_logits(model, np.asarray(TOKENS[0]))
    # 120 roundings deep at logits of order 10, through products of 32 to 128 terms.
    np.testing.assert_allclose(logits_of(model, TOKENS)[0], want, rtol=1e-3, atol=1e-3)
    assert np.std(want) > 1


def numpy_logits(model, tokens):
    """One example, in float64, one head at a time."""

    def get(variable):
        return np.asarray(variable[...], np.float64)

    def norm(x, layer):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * get(layer.scale)

    x = get(model.embedding)[tokens]
    for block in model.blocks:
        qkv = norm(x, block.attention_norm) @ get(block.attention.qkv.kernel)
        x = x + numpy_attention(qkv, heads=model.config.heads) @ get(block.attention.out.kernel)
        up = norm(x, block.mlp_norm) @ get(block.mlp_in.kernel)
        x = x + NUMPY_PERCEPTRONS[model.config.mlp](up) @ get(block.mlp_out.kernel)
    return norm(x, model.norm) @ get(model.embedding).T


def numpy_attention(qkv, heads):
    query, key, value = np.split(qkv, 3, axis=1)
    features = query.shape[1] // heads
    mixed = []
    for head in range(heads):
        columns = slice(head * features, head * features + features)
        scores = numpy_turn(query[:, columns]) @ numpy_turn(key[:, columns]).T
        scores = scores / math.sqrt(features)
        scores[np.triu_indices(len(qkv), 1)] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, columns])
    return np.concatenate(mixed, axis=1)


def numpy_turn(x):
    half = x.shape[1] // 2
    angle = np.arange(len(x))[:, None] * 10_000.0 ** (-np.arange(half) / half)
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angle)
    return np.concatenate([turned.real, turned.imag], axis=1)


def numpy_swiglu(up):
    gate, up = np.split(up, 2, axis=1)
    return gate / (1 + np.exp(-gate)) * up


NUMPY_PERCEPTRONS = {
    "gelu": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "swiglu": numpy_swiglu,
}


def mean_loss(graphdef, params, rest):
    logits = nnx.merge(graphdef, params, rest, copy=True)(TOKENS)
    return -jnp.mean(jax.nn.log_softmax(logits)[:, :-1][:, jnp.arange(15), TOKENS[0, 1:]])


def gradient_of(model):
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    return jax.jit(jax.grad(mean_loss, argnums=1), static_argnums=0)(graphdef, params, rest)


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_gradients_agree_with_torch(mlp):
    torch = pytest.importorskip("torch")
    from bench.torch_gpt import TorchGPT, load_weights, torch_name

    model = sharpened(dataclasses.replace(CONFIG, mlp=mlp))
    names = {
        "".join(f".{part}" for part in path)[1:]: leaf
        for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    weights = {torch_name(name): np.asarray(leaf[...]) for name, leaf in names.items()}
    theirs = load_weights(TorchGPT(model.config), weights).double()
    tokens = torch.from_numpy(np.asarray(TOKENS, np.int64))
    chosen = theirs(tokens).log_softmax(-1)[:, torch.arange(15), tokens[0, 1:]]
    (-chosen.mean()).backward()
    want = {name: np.asarray(parameter.grad) for name, parameter in theirs.named_parameters()}
    for path, leaf in nnx.to_flat_state(gradient_of(model)):
        name = torch_name(".".join(map(str, path)))
        got = np.asarray(leaf[...])
        got = got.T if got.ndim == 2 and name != "embedding.weight" else got
        # Relative to the largest entry: eps · √(sums of 48 rows by 128) with some room.
        np.testing.assert_allclose(got, want[name], rtol=0, atol=2e-4 * np.abs(want[name]).max())


@pytest.fixture(scope="module")
def plain_gradient():
    return gradient_of(GPT(dataclasses.replace(CONFIG, dropout=0.3), rngs=nnx.Rngs(0)))


@pytest.mark.parametrize("remat", ["block", pytest.param("dots", marks=pytest.mark.slow)])
def test_checkpointed_gradients_are_the_plain_ones_with_the_same_dropout(remat, plain_gradient):
    config = dataclasses.replace(CONFIG, dropout=0.3, remat=remat)
    # The same operations in another program: a few roundings apart.
    chex.assert_trees_all_close(
        nnx.to_pure_dict(gradient_of(GPT(config, rngs=nnx.Rngs(0)))),
        nnx.to_pure_dict(plain_gradient),
        rtol=1e-5,
        atol=1e-7,
    )


def test_checkpointing_recomputes_what_its_policy_says():
    def products(remat):
        model = GPT(dataclasses.replace(CONFIG, remat=remat), rngs=nnx.Rngs(0))
        graphdef, params, rest = nnx.split(model, nnx.Param, ...)
        jaxpr = jax.make_jaxpr(jax.grad(mean_loss, argnums=1), static_argnums=0)(
            graphdef, params, rest
        )
        return str(jaxpr).count("dot_general[")

    # Of the six products of each of the two blocks: "dots" runs the two of attention again, "block"
    # all but the last, whose value no derivative needs.
    plain = products(None)
    assert (products("dots"), products("block")) == (plain + 2 * 2, plain + 2 * 5)


def test_bfloat16_computes_in_it_with_float32_parameters_logits_and_gradients():
    config = dataclasses.replace(CONFIG, dtype="bfloat16", mlp="swiglu", layers=1)
    model = GPT(config, rngs=nnx.Rngs(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model))} == {jnp.dtype("float32")}
    assert hidden_of(model, TOKENS).dtype == model.head_weight.dtype == jnp.bfloat16
    grads = gradient_of(model)
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
    logits = logits_of(model, TOKENS)
    assert logits.dtype == jnp.float32
    exact = GPT(dataclasses.replace(config, dtype="float32"), rngs=nnx.Rngs(0))
    # bfloat16 has 8 bits: a per cent of the spread of the logits (0.1), and of each gradient.
    np.testing.assert_allclose(logits, logits_of(exact, TOKENS), rtol=0, atol=5e-3)
    for got, want in zip(jax.tree.leaves(grads), jax.tree.leaves(gradient_of(exact)), strict=True):
        assert np.linalg.norm(got - want) < 0.05 * np.linalg.norm(want)


@pytest.mark.slow
def test_second_derivatives_agree_forwards_and_backwards():
    config = dataclasses.replace(CONFIG, layers=1, width=16, mlp="gelu")
    graphdef, params, rest = nnx.split(sharpened(config), nnx.Param, ...)
    slope = jax.grad(lambda params: mean_loss(graphdef, params, rest))

    def slope_along(point):
        return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, slope(point), params)))

    forwards = jax.jit(lambda point: jax.jvp(slope, (point,), (params,))[1])(params)
    backwards = jax.jit(jax.grad(slope_along))(params)
    for got, want in zip(jax.tree.leaves(forwards), jax.tree.leaves(backwards), strict=True):
        # Another order of summation; relative to the largest entry.
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * float(jnp.abs(want).max()))


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
        ({"mlp": "SwiGLU"}, r"mlp must be one of .*did you mean 'swiglu'"),
        ({"remat": "dot"}, r"remat must be one of None, .*did you mean 'dots'"),
        ({"dtype": "bf16"}, r"dtype must be one of .*got 'bf16'"),
    ],
)
def test_impossible_configs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GPTConfig(**{"vocab_size": 50, **options})
