"""sigmoid_cross_entropy against 50-digit arithmetic, torch and optax."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest

from xentjax import sigmoid_cross_entropy, sigmoid_focal_loss

EPS = float(np.finfo(np.float32).eps)
LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)) * 4, jnp.float32)
LABELS = jnp.asarray(np.random.default_rng(1).integers(0, 2, (6, 5)), jnp.float32)
POS_WEIGHT = jnp.array([0.5, 1.0, 2.0, 30.0, 0.0])


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_value_and_gradient_are_exact_at_every_margin(label, report_figure):
    logits = np.array([s * m for m in (0, 1e-6, 1e-3, 0.5, 5, 15, 17, 30, 60, 87) for s in (1, -1)])
    logits = logits.astype(np.float32)
    labels = jnp.full(logits.shape, label)
    losses = sigmoid_cross_entropy(logits, labels)
    slopes = jax.grad(lambda x: jnp.sum(sigmoid_cross_entropy(x, labels)))(logits)
    worst = 0.0
    with mpmath.workdps(50):
        for x, loss, slope in zip(logits, losses, slopes, strict=True):
            z = mpmath.mpf(float(x)) * (1 if label else -1)
            value = mpmath.log1p(mpmath.exp(-z))
            wanted_slope = (-1 if label else 1) / (1 + mpmath.exp(z))
            allowed = mpmath.mpf("1e-6") + mpmath.mpf("6e-8") * abs(z)
            for got, wanted in ((loss, value), (slope, wanted_slope)):
                error = abs(mpmath.mpf(float(got)) - wanted) / abs(wanted)
                worst = max(worst, float(error / allowed))
    report_figure(f"mpmath, sigmoid, label {label}: worst error / allowed {worst:.2f}")
    assert worst <= 1


def test_certainty_is_free_when_right_and_infinite_when_wrong():
    logits = jnp.array([jnp.inf, -jnp.inf, jnp.inf, -jnp.inf])
    labels = jnp.array([1.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(sigmoid_cross_entropy(logits, labels), [0, 0, np.inf, np.inf])
    slope = jax.grad(lambda x: jnp.sum(sigmoid_cross_entropy(x, labels[:2])))(logits[:2])
    np.testing.assert_array_equal(slope, 0)


def test_agrees_with_optax():
    wanted = optax.losses.sigmoid_binary_cross_entropy(LOGITS, LABELS)
    np.testing.assert_allclose(sigmoid_cross_entropy(LOGITS, LABELS), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_agrees_with_torch_with_positive_weights(reduction):
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    logits = torch.tensor(np.asarray(LOGITS), requires_grad=True)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(
        logits,
        torch.tensor(np.asarray(LABELS)),
        pos_weight=torch.tensor(np.asarray(POS_WEIGHT)),
        reduction=reduction,
    )
    wanted.sum().backward()

    def loss(x):
        pos_weight = POS_WEIGHT[None]
        return sigmoid_cross_entropy(x, LABELS, pos_weight=pos_weight, reduction=reduction)

    np.testing.assert_allclose(loss(LOGITS), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda x: jnp.sum(loss(x)))(LOGITS)
    np.testing.assert_allclose(slope, logits.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_positive_weight_stays_finite_where_the_naive_form_is_nan():
    value, slope = jax.value_and_grad(
        lambda x: sigmoid_cross_entropy(x, jnp.array(1.0), pos_weight=30.0)
    )(jnp.array(-120.0))
    np.testing.assert_allclose(value, 3600, rtol=1e-6)
    np.testing.assert_allclose(slope, -30, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8", "float16"])
def test_labels_of_any_kind_mean_the_same(dtype):
    got = sigmoid_cross_entropy(LOGITS, LABELS.astype(dtype))
    np.testing.assert_array_equal(got, sigmoid_cross_entropy(LOGITS, LABELS))


def test_smoothing_moves_labels_towards_one_half():
    got = sigmoid_cross_entropy(LOGITS, LABELS, label_smoothing=0.2)
    wanted = sigmoid_cross_entropy(LOGITS, 0.8 * LABELS + 0.1)
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS)


def test_a_bad_label_is_named_when_eager_and_nan_when_jitted():
    labels = LABELS.at[1, 2].set(3)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 3.0 at position \(1, 2\)"):
        sigmoid_cross_entropy(LOGITS, labels)
    losses = jax.jit(sigmoid_cross_entropy)(LOGITS, labels)
    closed_over = jax.jit(jax.grad(lambda x: jnp.sum(sigmoid_cross_entropy(x, labels))))
    assert np.isnan(losses[1, 2])
    assert np.isnan(losses).sum() == 1
    jitted = jax.jit(jax.grad(lambda x, y: jnp.sum(sigmoid_cross_entropy(x, y))))
    assert np.isnan(jitted(LOGITS, labels)).sum() == 1
    with pytest.raises(ValueError, match=r"got 3\.0"):
        closed_over(LOGITS)  # labels known while tracing are checked then


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((LOGITS[:, :1], LABELS[:, 0]), {}, ValueError, r"got \(6,\), wanted \(6, 1\)"),
        ((LABELS.astype(int), LABELS), {}, TypeError, "logits must be floating"),
        ((LOGITS, LABELS), {"pos_weight": -1.0}, ValueError, "pos_weight must be non-negative"),
        ((LOGITS, LABELS), {"pos_weight": jnp.ones(4)}, ValueError, "pos_weight must be broad"),
        ((LOGITS, LABELS), {"label_smoothing": 2.0}, ValueError, "label_smoothing must lie"),
        ((LOGITS, LABELS), {"reduction": "meen"}, ValueError, "did you mean 'mean'"),
    ],
)
def test_misuse_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        sigmoid_cross_entropy(*arguments, **options)


@pytest.mark.parametrize("junk", [jnp.nan, jnp.inf, -jnp.inf])
def test_masked_elements_leave_no_trace(junk):
    keep = jnp.asarray(np.random.default_rng(2).random((6, 5)) < 0.6)
    logits = jnp.where(keep, LOGITS, junk)

    def loss(x, labels, where):
        return sigmoid_cross_entropy(x, labels, where=where, reduction="mean")

    got, slope = jax.value_and_grad(loss)(logits, jnp.where(keep, LABELS, 9.0), keep)
    wanted = sigmoid_cross_entropy(LOGITS[keep], LABELS[keep], reduction="mean")
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS)
    np.testing.assert_array_equal(slope[~keep], 0)
    assert np.isfinite(slope).all()


def test_labels_beyond_32_bits_are_refused_not_wrapped_to_one():
    for loss in (sigmoid_cross_entropy, sigmoid_focal_loss):
        with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\]"):
            loss(jnp.zeros(1), np.array([2**32 + 1]))
