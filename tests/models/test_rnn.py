"""The RNN is PyTorch's, in both directions and padded, and padding never reaches a result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.models.rnn import RNN, RNNConfig, _check

TOKENS = jax.random.randint(jax.random.key(1), (4, 6), 0, 11)
LENGTHS = jnp.array([6, 3, 1, 5])
# Six steps and two layers of sums of at most 18 terms of order 1, squashed to [-1, 1] by each.
TOLERANCE = {"rtol": 0, "atol": 12 * 18 * np.finfo(np.float32).eps}
CALL = nnx.jit(lambda model, *args, **kwargs: model(*args, **kwargs))
HIDDEN = nnx.jit(lambda model, *args, **kwargs: model.hidden(*args, **kwargs))


def make(**options):
    config = {"vocab_size": 11, "classes": 3, "embedding": 5, "width": 8, "layers": 2}
    model = RNN(RNNConfig(**{**config, **options}), rngs=nnx.Rngs(0))
    # Biases are mostly 0 at first, and a bias of 0 is in the right place wherever it is.
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        if "bias" in path[-1]:
            leaf[...] = 0.3 * jax.random.normal(jax.random.key(len(path)), leaf.shape)
    return model


def in_torch(torch, model):
    """torch.nn.LSTM or GRU with copies of the weights, its embedding left to the caller."""
    config = model.config
    kind = torch.nn.LSTM if config.cell == "lstm" else torch.nn.GRU
    theirs = kind(
        config.embedding,
        config.width,
        num_layers=config.layers,
        bidirectional=config.bidirectional,
        batch_first=True,
    )

    def put(name, array):
        getattr(theirs, name).data = torch.tensor(np.asarray(array).T.copy())

    stacks = {"": model.forward_layers, "_reverse": model.backward_layers}
    for suffix, layers in stacks.items():
        for number, layer in enumerate(layers):
            put(f"weight_ih_l{number}{suffix}", layer.input_kernel[...])
            put(f"weight_hh_l{number}{suffix}", layer.recurrent_kernel[...])
            put(f"bias_ih_l{number}{suffix}", layer.bias[...])
            extra = jnp.zeros_like(layer.bias[...])
            if config.cell == "gru":
                extra = extra.at[2 * config.width :].set(layer.reset_bias[...])
            put(f"bias_hh_l{number}{suffix}", extra)
    return theirs


@pytest.mark.parametrize(
    ("cell", "bidirectional"),
    [
        ("lstm", True),
        ("gru", False),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [("lstm", False), ("gru", True)]),
    ],
)
def test_hidden_states_are_torchs_at_every_time_padded_and_not(cell, bidirectional):
    torch = pytest.importorskip("torch")
    model = make(cell=cell, bidirectional=bidirectional)
    theirs = in_torch(torch, model)
    embedded = torch.tensor(np.asarray(model.embedding[...][TOKENS]))
    with torch.no_grad():
        whole, _ = theirs(embedded)
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            embedded, torch.tensor(np.asarray(LENGTHS)), batch_first=True, enforce_sorted=False
        )
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    np.testing.assert_allclose(HIDDEN(model, TOKENS), whole.numpy(), **TOLERANCE)
    ours = HIDDEN(model, TOKENS, lengths=LENGTHS)  # zero at padded times, as torch has it
    np.testing.assert_allclose(ours, padded.numpy(), **TOLERANCE)


@pytest.mark.parametrize("pool", ["last", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_padded_sequence_pools_to_what_it_pools_to_alone(pool, bidirectional):
    model = make(pool=pool, bidirectional=bidirectional, cell="gru")
    spoiled = jnp.where(jnp.arange(6)[None, :] < LENGTHS[:, None], TOKENS, -7)
    got = CALL(model, spoiled, lengths=LENGTHS)
    assert got.shape == (4, 3)
    for row, length in ((1, 3), (2, 1)):
        alone = CALL(model, TOKENS[row : row + 1, :length])
        np.testing.assert_allclose(got[row : row + 1], alone, **TOLERANCE)


def test_pools_are_the_mean_and_the_ends_of_the_hidden_states():
    hidden = np.asarray(HIDDEN(make(bidirectional=True), TOKENS))
    mean = HIDDEN(make(bidirectional=True, pool="mean"), TOKENS)
    np.testing.assert_allclose(mean, hidden.mean(axis=1), **TOLERANCE)
    last = HIDDEN(make(bidirectional=True, pool="last"), TOKENS)
    ends = np.concatenate([hidden[:, -1, :8], hidden[:, 0, 8:]], axis=-1)
    np.testing.assert_allclose(last, ends, **TOLERANCE)


def test_padding_has_no_gradient():
    """Token 10 occurs in padding alone, so its embedding must not be moved."""
    model = make(pool="mean", bidirectional=True)
    tokens = jnp.where(jnp.arange(6)[None, :] < LENGTHS[:, None], TOKENS % 10, 10)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def gradient(params):
        def loss(params):
            return jnp.sum(nnx.merge(graphdef, params, rest)(tokens, lengths=LENGTHS) ** 2)

        return jax.grad(loss)(params)

    embedding = np.asarray(gradient(params)["embedding"][...])
    assert not embedding[10].any()
    assert embedding[np.asarray(tokens[0])].any(axis=1).all()


def test_one_direction_knows_no_later_token_and_two_do():
    changed = TOKENS.at[:, 4].set((TOKENS[:, 4] + 1) % 11)
    for bidirectional in (False, True):
        model = make(bidirectional=bidirectional)
        before, after = CALL(model, TOKENS), CALL(model, changed)
        assert np.array_equal(before[:, :4], after[:, :4]) is not bidirectional
        assert not np.array_equal(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("token", [-1, 11])
def test_a_token_that_is_none_gives_nan_from_there_on_and_only_in_its_row(token):
    logits = np.asarray(CALL(make(), TOKENS.at[1, 2].set(token)))
    nan = np.isnan(logits)
    assert nan[1, 2:].all()
    assert not nan[1, :2].any()
    assert not nan[[0, 2, 3]].any()


def test_a_length_that_cannot_be_gives_nan():
    logits = CALL(make(pool="last"), TOKENS, lengths=jnp.array([0, 3, 7, 6]))
    assert np.isnan(logits).all(axis=1).tolist() == [True, False, True, False]


def test_dropout_between_layers_works_in_training_only_and_functionally():
    model = make(dropout=0.5)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def forward(rest):
        model = nnx.merge(graphdef, params, rest, copy=True)
        return model(TOKENS), nnx.split(model, nnx.Param, ...)[2]

    first, moved = forward(rest)
    np.testing.assert_array_equal(first, forward(rest)[0])
    assert not np.array_equal(first, forward(moved)[0])
    model.eval()
    np.testing.assert_array_equal(CALL(model, TOKENS), CALL(model, TOKENS))


def test_logits_are_the_head_of_the_hidden_states_and_next_tokens_by_default():
    model = make(classes=None)
    hidden = np.asarray(HIDDEN(model, TOKENS))
    logits = hidden @ np.asarray(model.head_weight) + np.asarray(model.head.bias[...])
    assert logits.shape == (4, 6, 11)
    np.testing.assert_allclose(CALL(model, TOKENS), logits, **TOLERANCE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bidirectional": True, "classes": None}, "cannot predict the next token"),
        ({"cell": "rnn"}, "cell must be 'gru' or 'lstm', got 'rnn'"),
        ({"pool": "max"}, "pool must be 'last', 'mean' or None, got 'max'"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"embedding": 0}, "embedding must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be in"),
    ],
)
def test_impossible_configs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RNNConfig(**{"vocab_size": 11, "classes": 3, **options})


def test_tokens_and_lengths_of_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"T at least 1, got int32 of shape \(4, 0\)"):
        make()(TOKENS[:, :0])
    with pytest.raises(ValueError, match=r"\(B,\) = \(4,\), .* got int32 of shape \(3,\)"):
        _check(TOKENS, LENGTHS[:3])  # as without the type checker that tests run under
