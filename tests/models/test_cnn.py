"""The CNN is PyTorch's layers put together, batch norm's statistics included, train and eval."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.models.cnn import CNN, CNNConfig
from xentjax.models.summary import summarize

CONFIG = CNNConfig(in_channels=2, widths=(4, 6), classes=3)
X = jax.random.normal(jax.random.key(1), (5, 7, 6, 2))
CALL = nnx.jit(lambda model, *args, **kwargs: model(*args, **kwargs))
# Five layers of sums of at most 54 terms of order 1, normalised to order 1 after each.
TOLERANCE = {"rtol": 0, "atol": 5 * 54 * np.finfo(np.float32).eps}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def in_torch(torch, model):
    """The same network of torch layers with copies of the weights, as a function of NHWC."""

    def tensor(array):
        return torch.tensor(np.asarray(array))

    def conv(ours):
        kernel = tensor(ours.kernel[...]).permute(3, 2, 0, 1)
        outputs, inputs, size, _ = kernel.shape
        layer = torch.nn.Conv2d(
            inputs, outputs, size, stride=ours.stride, padding=size // 2, bias=False
        )
        layer.weight.data = kernel
        return layer

    norms = []

    def norm(ours):
        layer = torch.nn.BatchNorm2d(ours.num_features, momentum=0.1)
        norms.append((ours, layer))
        return layer

    f = torch.relu
    stem, stem_norm = conv(model.stem), norm(model.stem_norm)
    blocks = [
        (conv(b.conv_in), norm(b.norm_in), conv(b.conv_out), norm(b.norm_out))
        + ((conv(b.shortcut), norm(b.shortcut_norm)) if b.projects else ())
        for b in model.blocks
    ]
    kernel, bias = tensor(model.head.kernel[...]), tensor(model.head.bias[...])

    def call(x, training):
        for _, layer in norms:
            layer.train(training)
        x = f(stem_norm(stem(tensor(x).permute(0, 3, 1, 2))))
        for conv_in, norm_in, conv_out, norm_out, *shortcut in blocks:
            inner = norm_out(conv_out(f(norm_in(conv_in(x)))))
            x = f(inner + (shortcut[1](shortcut[0](x)) if shortcut else x))
        return (x.mean((2, 3)) @ kernel + bias).detach().numpy()

    return call, norms


def test_logits_and_running_statistics_are_torchs_over_three_steps(torch):
    """In training, then in evaluation with the statistics that training left, functionally."""
    model = CNN(CONFIG, rngs=nnx.Rngs(0))
    theirs, norms = in_torch(torch, model)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def forward(rest, x):
        model = nnx.merge(graphdef, params, rest, copy=True)
        return model(x), nnx.split(model, nnx.Param, ...)[2]

    for number in range(3):
        x = X + 0.1 * number
        logits, rest = forward(rest, x)
        np.testing.assert_allclose(logits, theirs(x, training=True), **TOLERANCE)
    nnx.update(model, rest)
    pixels = {7 * 6: 5 * 7 * 6, 4 * 3: 5 * 4 * 3}
    for (ours, layer), count in zip(norms, [*[pixels[42]] * 3, *[pixels[12]] * 3], strict=True):
        np.testing.assert_allclose(ours.mean[...], layer.running_mean.numpy(), **TOLERANCE)
        # Ours divides by n, torch's by n − 1; both began at 1, of which 0.9³ is left.
        variance = 0.9**3 + (np.asarray(ours.var[...]) - 0.9**3) * count / (count - 1)
        np.testing.assert_allclose(variance, layer.running_var.numpy(), **TOLERANCE)
        layer.running_var = torch.tensor(np.asarray(ours.var[...]))
    model.eval()
    np.testing.assert_allclose(CALL(model, X), theirs(X, training=False), **TOLERANCE)


def test_evaluation_changes_nothing_and_rows_do_not_know_each_other():
    model = CNN(CONFIG, rngs=nnx.Rngs(0))
    CALL(model, X)
    model.eval()
    before = jax.tree.map(np.asarray, nnx.state(model))
    whole = CALL(model, X)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model))
    np.testing.assert_allclose(CALL(model, X[:2]), whole[:2], **TOLERANCE)


def test_masked_rows_leave_logits_and_statistics_as_if_they_were_sliced_off():
    masked, sliced = CNN(CONFIG, rngs=nnx.Rngs(0)), CNN(CONFIG, rngs=nnx.Rngs(0))
    where = jnp.array([True, True, False, True, False])
    spoiled = jnp.where(where[:, None, None, None], X, 100.0)
    ours, theirs = CALL(masked, spoiled, where=where), CALL(sliced, X[where])
    np.testing.assert_allclose(ours[where], theirs, **TOLERANCE)
    statistics = [jax.tree.leaves(nnx.state(model, nnx.BatchStat)) for model in (masked, sliced)]
    for ours, theirs in zip(*statistics, strict=True):
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)


def test_logits_are_the_head_of_the_hidden_states():
    model = CNN(CONFIG, rngs=nnx.Rngs(0))
    model.eval()
    hidden = nnx.jit(lambda model: model.hidden(X))(model)
    assert hidden.shape == (5, 6)
    np.testing.assert_allclose(
        CALL(model, X), hidden @ model.head_weight + model.head.bias[...][None, :], **TOLERANCE
    )


def test_statistics_are_no_parameters_and_dropout_works_in_training_only():
    model = CNN(CNNConfig(widths=(4,), dropout=0.5), rngs=nnx.Rngs(0))
    kinds = {type(leaf) for _, leaf in nnx.to_flat_state(nnx.state(model))}
    assert nnx.BatchStat in kinds
    trained = {path[-1] for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    assert trained == {"kernel", "scale", "bias"}
    x = jnp.ones((2, 5, 5, 1))
    model.train()
    assert not np.array_equal(CALL(model, x), CALL(model, x))
    model.eval()
    np.testing.assert_array_equal(CALL(model, x), CALL(model, x))


def test_stages_halve_and_blocks_repeat():
    config = CNNConfig(widths=(2, 3, 4), blocks=2)
    model = nnx.eval_shape(lambda: CNN(config, rngs=nnx.Rngs(0)))
    assert [block.projects for block in model.blocks] == [False, False, True, False, True, False]
    rows = summarize(model, jax.ShapeDtypeStruct((1, 9, 8, 1), jnp.float32)).layers
    shapes = [row.output_shapes[0] for row in rows if row.path.endswith("conv_out")]
    assert shapes == [(1, 9, 8, 2)] * 2 + [(1, 5, 4, 3)] * 2 + [(1, 3, 2, 4)] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "at least one width"),
        ({"widths": (8, 0)}, r"\(8, 0\)"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"activation": "rely"}, "did you mean 'relu'"),
    ],
)
def test_impossible_configs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CNNConfig(**options)


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"in_channels = 2\), got shape \(5, 7, 6, 1\)"):
        CNN(CONFIG, rngs=nnx.Rngs(0))(X[..., :1])
