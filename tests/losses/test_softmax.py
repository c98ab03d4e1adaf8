"""softmax_cross_entropy: conventions, masks, bad input. Exactness has a file of its own."""

import inspect
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import xentjax
from xentjax import softmax_cross_entropy

EPS = float(np.finfo(np.float32).eps)
LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)) * 3, jnp.float32)
LABELS = jnp.array([0, 1, 2, 3, 4, 2])
ONE_HOT = jnp.eye(5)[LABELS]
CLASS_WEIGHTS = jnp.array([0.5, 1.0, 2.0, 3.0, 0.25])
OPTIONS = [
    {},
    {"label_smoothing": 0.1},
    {"z_loss": 1e-2},
    {"class_weights": CLASS_WEIGHTS},
    {"where": LABELS != 2},
    {"weights": jnp.arange(6.0)},
    {"class_where": jnp.array([[True, True, True, True, True]]).at[0, 1].set(False)},
    {
        "label_smoothing": 0.2,
        "z_loss": 1e-3,
        "class_weights": CLASS_WEIGHTS,
        "where": LABELS != 3,
        "weights": jnp.arange(6.0),
    },
]


def dense64(logits, targets, class_weights=None, label_smoothing=0.0, z_loss=0.0):
    """The definition, in float64 numpy."""
    x, t = np.asarray(logits, np.float64), np.asarray(targets, np.float64)
    w = np.ones(x.shape[-1]) if class_weights is None else np.asarray(class_weights, np.float64)
    lse = np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) + x.max(
        -1, keepdims=True
    )
    t = (1 - label_smoothing) * t + label_smoothing / x.shape[-1]
    return (w * t * (lse - x)).sum(-1) + z_loss * lse[..., 0] ** 2


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("options", OPTIONS)
def test_integer_labels_equal_one_hot_rows_in_value_gradient_and_hessian(options, reduction):
    def loss(labels, logits):
        return softmax_cross_entropy(logits, labels, reduction=reduction, **options)

    integer, one_hot = partial(loss, LABELS), partial(loss, ONE_HOT)
    np.testing.assert_allclose(integer(LOGITS), one_hot(LOGITS), rtol=8 * EPS, atol=8 * EPS)
    derivative = jax.jacrev if reduction == "none" else jax.hessian
    a, b = jax.jit(derivative(integer))(LOGITS), jax.jit(derivative(one_hot))(LOGITS)
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=64 * EPS * float(jnp.max(jnp.abs(b))))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.3},
        {"z_loss": 0.05},
        {"class_weights": CLASS_WEIGHTS},
        {"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.3, "z_loss": 0.05},
    ],
)
def test_value_equals_the_float64_definition(options):
    wanted = dense64(LOGITS, ONE_HOT, **options)
    np.testing.assert_allclose(softmax_cross_entropy(LOGITS, LABELS, **options), wanted, rtol=1e-6)
    soft = jax.nn.softmax(LOGITS[::-1])
    wanted = dense64(LOGITS, soft, **options)
    np.testing.assert_allclose(softmax_cross_entropy(LOGITS, soft, **options), wanted, rtol=1e-6)


def test_agrees_with_optax_where_optax_is_right():
    ours, theirs = softmax_cross_entropy, optax.losses
    wanted = theirs.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS)
    np.testing.assert_allclose(ours(LOGITS, LABELS), wanted, rtol=4e-7, atol=1e-6)
    soft = jax.nn.softmax(LOGITS[::-1])
    wanted = theirs.softmax_cross_entropy(LOGITS, soft)
    np.testing.assert_allclose(ours(LOGITS, soft), wanted, rtol=4e-7, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, (1, 2), (2, 1), (0, 2), [0, 1]])
def test_axis_agrees_with_optax_for_an_int_and_for_a_tuple(axis):
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 4)), jnp.float32)
    axes = tuple(a % 3 for a in ([axis] if isinstance(axis, int) else axis))
    shape = [n for i, n in enumerate(logits.shape) if i not in axes]
    classes = int(np.prod([logits.shape[a] for a in axes]))
    labels = jnp.asarray(np.random.default_rng(2).integers(0, classes, shape))
    wanted = optax.losses.softmax_cross_entropy_with_integer_labels(
        logits, labels, axis=axis if isinstance(axis, int) else tuple(axis)
    )
    got = softmax_cross_entropy(logits, labels, axis=axis)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    soft = jax.nn.softmax(logits[::-1], axis=axes)
    moved = jnp.moveaxis(soft, axes, range(3 - len(axes), 3)).reshape(*shape, classes)
    flat = jnp.moveaxis(logits, axes, range(3 - len(axes), 3)).reshape(*shape, classes)
    got = softmax_cross_entropy(logits, soft, axis=axis)
    np.testing.assert_allclose(got, softmax_cross_entropy(flat, moved), rtol=1e-6)


def test_class_weights_with_mean_divide_by_the_weights_of_the_labels():
    losses = dense64(LOGITS, ONE_HOT, class_weights=CLASS_WEIGHTS)
    wanted = losses.sum() / np.asarray(CLASS_WEIGHTS)[np.asarray(LABELS)].sum()
    got = softmax_cross_entropy(LOGITS, LABELS, class_weights=CLASS_WEIGHTS, reduction="mean")
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_torch_on_every_option_torch_has(smoothing, reduction, weighted):
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    labels = LABELS.at[1].set(-100)
    logits = torch.tensor(np.asarray(LOGITS), requires_grad=True)
    wanted = torch.nn.functional.cross_entropy(
        logits,
        torch.tensor(np.asarray(labels), dtype=torch.long),
        weight=torch.tensor(np.asarray(CLASS_WEIGHTS)) if weighted else None,
        label_smoothing=smoothing,
        reduction=reduction,
    )
    wanted.sum().backward()

    def loss(x):
        return softmax_cross_entropy(
            x,
            labels,
            ignore_index=-100,
            class_weights=CLASS_WEIGHTS if weighted else None,
            label_smoothing=smoothing,
            reduction=reduction,
        )

    np.testing.assert_allclose(loss(LOGITS), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(loss(x)))(LOGITS)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_smoothing_and_z_loss_may_be_traced_and_differentiated():
    def loss(smoothing, z_loss):
        return softmax_cross_entropy(
            LOGITS, LABELS, label_smoothing=smoothing, z_loss=z_loss, reduction="sum"
        )

    got = jax.jit(loss)(0.1, 0.01)
    np.testing.assert_allclose(got, loss(0.1, 0.01), rtol=1e-6)
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))(0.0, 0.0)
    plain = dense64(LOGITS, ONE_HOT)
    uniform = dense64(LOGITS, np.full((6, 5), 0.2))
    lse = dense64(LOGITS, np.zeros((6, 5)), z_loss=1.0)
    np.testing.assert_allclose(slopes[0], (uniform - plain).sum(), rtol=1e-5)
    np.testing.assert_allclose(slopes[1], lse.sum(), rtol=1e-5)


def test_class_weights_and_soft_labels_are_differentiable():
    soft = jax.nn.softmax(LOGITS[::-1])
    slope = jax.grad(lambda t: jnp.sum(softmax_cross_entropy(LOGITS, t)))(soft)
    np.testing.assert_allclose(slope, -jax.nn.log_softmax(LOGITS), rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda w: jnp.sum(softmax_cross_entropy(LOGITS, LABELS, class_weights=w)))(
        CLASS_WEIGHTS
    )
    wanted = (np.asarray(ONE_HOT) * -np.asarray(jax.nn.log_softmax(LOGITS))).sum(0)
    np.testing.assert_allclose(slope, wanted, rtol=1e-5)


def test_shift_invariance_and_permutation_equivariance():
    losses = softmax_cross_entropy(LOGITS, LABELS, label_smoothing=0.1)
    # Adding 1024 rounds each logit by up to 6e-5, and a loss moves by no more than twice that.
    shifted = softmax_cross_entropy(LOGITS + 1024, LABELS, label_smoothing=0.1)
    np.testing.assert_allclose(shifted, losses, atol=1024 * EPS * 2)
    order = jnp.array([3, 1, 4, 0, 2])
    permuted = softmax_cross_entropy(
        LOGITS[:, order], jnp.argsort(order)[LABELS], label_smoothing=0.1
    )
    np.testing.assert_allclose(permuted, losses, rtol=4 * EPS)


# --- masked classes -------------------------------------------------------------------------


@pytest.mark.parametrize("as_logit", [True, False])
@pytest.mark.parametrize("labels", [LABELS, ONE_HOT])
@pytest.mark.parametrize("smoothing", [pytest.param(0.0, marks=pytest.mark.slow), 0.2])
def test_a_masked_class_leaves_the_loss_of_the_others(as_logit, labels, smoothing):
    """Equal to deleting the class: finite, no gradient there, smoothing over what is left."""
    rows = jnp.array([0, 1, 2, 5])  # the label is neither 3 nor 4
    logits, labels = LOGITS[rows], labels[rows]
    allowed = jnp.arange(5) < 3
    options = {"label_smoothing": smoothing}
    if as_logit:
        logits = jnp.where(jnp.broadcast_to(allowed, logits.shape), logits, -jnp.inf)
    else:
        options["class_where"] = jnp.broadcast_to(allowed, logits.shape)

    def loss(x):
        return softmax_cross_entropy(x, labels, **options)

    deleted = labels if labels.ndim == 1 else labels[:, :3]
    wanted = softmax_cross_entropy(logits[:, :3], deleted, label_smoothing=smoothing)
    np.testing.assert_allclose(loss(logits), wanted, rtol=4 * EPS)
    gradient = jax.grad(lambda x: jnp.sum(loss(x)))(logits)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[:, 3:], 0)
    tangent = jax.jit(lambda x: jax.jvp(loss, (x,), (jnp.ones_like(x),))[1])(logits)
    assert np.isfinite(tangent).all()
    assert np.isfinite(jax.jit(jax.hessian(loss))(logits)).all()
    assert np.isfinite(jax.jit(jax.jacrev(jax.jacrev(loss)))(logits)).all()


@pytest.mark.parametrize("as_logit", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_masked_label_costs_infinity_on_both_paths_with_a_defined_gradient(as_logit, smoothing):
    logits, allowed = jnp.array([[1.0, 2.0, 0.5]]), jnp.array([[False, True, True]])
    options = {"label_smoothing": smoothing}
    if as_logit:
        logits = jnp.where(allowed, logits, -jnp.inf)
    else:
        options["class_where"] = allowed
    for labels in (jnp.array([0]), jnp.array([[1.0, 0.0, 0.0]])):
        loss = partial(softmax_cross_entropy, labels=labels, **options)
        assert loss(logits)[0] == np.inf
        gradient = jax.grad(lambda x, loss=loss: jnp.sum(loss(x)))(logits)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("labels", [jnp.array([1, 0]), jnp.array([[0.0, 1.0], [1.0, 0.0]])])
def test_a_row_without_classes_is_nan_unless_it_is_masked(labels):
    logits = jnp.array([[-jnp.inf, -jnp.inf], [1.0, 0.0]])

    def loss(x, where):
        return softmax_cross_entropy(x, labels, where=where)

    everything, second = jnp.array([True, True]), jnp.array([False, True])
    assert np.isnan(loss(logits, everything)[0])
    assert np.isfinite(loss(logits, everything)[1])
    slope = jax.grad(lambda x, w: jnp.sum(loss(x, w)))
    assert np.isnan(slope(logits, everything)[0]).all()
    assert loss(logits, second)[0] == 0
    np.testing.assert_array_equal(slope(logits, second)[0], 0)


@pytest.mark.parametrize("jit", [True, False])
def test_an_infinite_logit_is_free_as_the_label_and_infinite_as_another_class(jit):
    logits = jnp.array([[jnp.inf, 0.0], [0.0, jnp.inf]])

    def loss(x):
        return softmax_cross_entropy(x, jnp.array([0, 0]))

    both = jax.value_and_grad(lambda x: (loss(x) * jnp.array([1.0, 0.0])).sum())
    np.testing.assert_array_equal((jax.jit(loss) if jit else loss)(logits), [0, np.inf])
    first = logits[:1]
    value, gradient = (jax.jit(both) if jit else both)(jnp.concatenate([first, first]))
    assert value == 0
    np.testing.assert_array_equal(gradient[0], 0)


# --- masked examples ------------------------------------------------------------------------


@pytest.mark.parametrize("junk", [jnp.nan, jnp.inf, -jnp.inf])
@pytest.mark.parametrize("labels", [LABELS, ONE_HOT])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "z_loss": 0.1}])
def test_masked_examples_leave_no_trace_whatever_they_hold(junk, labels, options):
    keep = jnp.array([True, False, True, True, False, True])
    logits = jnp.where(keep[:, None], LOGITS, junk)

    def loss(x, labels, where=None):
        return softmax_cross_entropy(x, labels, where=where, reduction="mean", **options)

    wanted, slope = jax.value_and_grad(loss)(LOGITS[keep], labels[keep])
    got, gradient = jax.jit(jax.value_and_grad(loss))(logits, labels, keep)
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS)
    np.testing.assert_allclose(gradient[keep], slope, rtol=1e-5, atol=EPS)
    np.testing.assert_array_equal(gradient[~keep], 0)
    hessian = jax.jit(jax.jacrev(jax.jacrev(loss)))(logits, labels, keep)
    assert np.isfinite(hessian).all()


@pytest.mark.parametrize("ignore_index", [-100, -1, 0, 255])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32"])
def test_ignore_index_leaves_examples_out_of_loss_gradient_and_denominator(ignore_index, dtype):
    info = np.iinfo(dtype)
    if not info.min <= ignore_index <= info.max:
        labels = jnp.array([2, 1, 2], dtype)  # no label can equal it: nothing is ignored
        kept = jnp.array([0, 1, 2])
    else:
        labels, kept = jnp.array([2, ignore_index, 1]).astype(dtype), jnp.array([0, 2])
    loss = partial(softmax_cross_entropy, reduction="mean")
    got, gradient = jax.value_and_grad(loss)(LOGITS[:3], labels, ignore_index=ignore_index)
    wanted = loss(LOGITS[:3][kept], labels[kept].astype(jnp.int32))
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS)
    ignored = np.setdiff1d(np.arange(3), kept)
    np.testing.assert_array_equal(gradient[ignored], 0)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nothing_left_is_zero_with_zero_gradient(reduction):
    for options in ({"where": jnp.zeros(6, bool)}, {"ignore_index": 2}):
        labels = jnp.full(6, 2)
        value, gradient = jax.value_and_grad(
            lambda x, labels=labels, options=options: softmax_cross_entropy(
                x, labels, reduction=reduction, **options
            )
        )(LOGITS)
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)
    empty = softmax_cross_entropy(jnp.zeros((0, 3)), jnp.zeros(0, int), reduction=reduction)
    assert empty == 0


# --- bad labels -----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, -5, -100, 5, 1000])
def test_a_bad_label_is_named_when_eager_and_nan_when_jitted(bad):
    labels = LABELS.at[4].set(bad)
    with pytest.raises(ValueError, match=rf"\[0, 5\), got {bad} at position \(4,\)"):
        softmax_cross_entropy(LOGITS, labels)

    def loss(x, labels):
        losses = softmax_cross_entropy(x, labels)
        return jnp.sum(losses), losses

    (_, losses), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(LOGITS, labels)
    good = np.arange(6) != 4
    assert np.isnan(losses[4])
    assert np.isnan(gradient[4]).all()
    # The good rows are untouched, in reverse mode too: no NaN is transposed onto them.
    np.testing.assert_allclose(losses[good], softmax_cross_entropy(LOGITS, LABELS)[good])
    assert np.isfinite(gradient[good]).all()


@pytest.mark.parametrize("bad", [-1, 7])
def test_a_bad_label_under_a_mask_is_no_fault(bad):
    labels = LABELS.at[4].set(bad)
    where = jnp.arange(6) != 4
    losses = softmax_cross_entropy(LOGITS, labels, where=where)
    assert losses[4] == 0
    jitted = jax.jit(lambda x, y, w: softmax_cross_entropy(x, y, where=w))
    np.testing.assert_allclose(jitted(LOGITS, labels, where), losses, rtol=4 * EPS)


@pytest.mark.usefixtures("x64")
def test_labels_beyond_32_bits_do_not_wrap():
    labels = jnp.array([2**32 + 1], jnp.int64)
    with pytest.raises(ValueError, match="got 4294967297"):
        softmax_cross_entropy(jnp.zeros((1, 3)), labels)
    assert np.isnan(jax.jit(softmax_cross_entropy)(jnp.zeros((1, 3)), labels)[0])


def test_small_label_dtypes_work_with_more_classes_than_they_can_count():
    logits = jnp.asarray(np.random.default_rng(3).normal(size=(3, 300)), jnp.float32)
    labels = jnp.array([0, 100, 127])
    wanted = softmax_cross_entropy(logits, labels)
    for dtype in ("int8", "uint8", "int16"):
        np.testing.assert_array_equal(softmax_cross_entropy(logits, labels.astype(dtype)), wanted)


# --- dtypes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_computed_in_float32_and_its_gradient_returns_in_kind(dtype):
    logits = (LOGITS * 4).astype(dtype)
    losses = softmax_cross_entropy(logits, LABELS)
    assert losses.dtype == jnp.float32
    wanted = dense64(np.asarray(logits, np.float64), ONE_HOT)
    np.testing.assert_allclose(losses, wanted, rtol=1e-6, atol=1e-12)
    gradient = jax.grad(lambda x: jnp.sum(softmax_cross_entropy(x, LABELS)))(logits)
    assert gradient.dtype == dtype


def test_half_precision_sums_do_not_overflow_at_2_17_classes():
    logits = jnp.zeros((1, 2**17), jnp.float16)
    got = softmax_cross_entropy(logits, jnp.array([5]), label_smoothing=0.1)
    np.testing.assert_allclose(got, [17 * np.log(2)], rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_float64_logits_stay_float64_and_labels_follow_the_logits():
    single, double = LOGITS.astype(jnp.float32), LOGITS.astype(jnp.float64)
    soft = jnp.asarray(np.full((6, 5), 0.2), jnp.float64)
    assert softmax_cross_entropy(double, LABELS).dtype == jnp.float64
    assert softmax_cross_entropy(single, soft).dtype == jnp.float32
    np.testing.assert_allclose(
        softmax_cross_entropy(double, LABELS), dense64(double, ONE_HOT), rtol=1e-14
    )


@pytest.mark.parametrize("options", ["label_smoothing", "z_loss"])
@pytest.mark.usefixtures("x64")
def test_a_wide_option_does_not_widen_the_loss(options):
    single = LOGITS.astype(jnp.float32)
    losses = softmax_cross_entropy(single, LABELS, **{options: np.float64(0.1)})
    assert losses.dtype == jnp.float32


def test_strict_dtype_promotion_is_no_obstacle():
    with jax.numpy_dtype_promotion("strict"):
        losses = softmax_cross_entropy(LOGITS.astype(jnp.bfloat16), LABELS)
    assert losses.dtype == jnp.float32


# --- every path of the label ----------------------------------------------------------------


@pytest.mark.parametrize("classes", [63, 64, 511, 512, 1009, 1024, 2050])
def test_any_label_of_any_row_is_found_on_every_path(classes):
    """First, last, block edges and middle, forward alone, with the gradient, and twice."""
    rng = np.random.default_rng(classes)
    labels = np.unique([0, 1, 47, 48, 49, 50, classes // 2, classes - 2, classes - 1])
    logits = rng.normal(size=(len(labels), classes)).astype(np.float32) * 2
    logits[np.arange(len(labels)), labels] += np.linspace(0, 30, len(labels), dtype=np.float32)
    wanted = dense64(logits, np.eye(classes)[labels])
    forward = jax.jit(softmax_cross_entropy)(logits, labels)
    # float64 numpy subtracts; its own rounding is 1e-15 of the largest logit.
    np.testing.assert_allclose(forward, wanted, rtol=4e-6, atol=1e-13)
    total = jax.jit(jax.value_and_grad(lambda x: jnp.sum(softmax_cross_entropy(x, labels))))
    value, slope = total(logits)
    np.testing.assert_allclose(value, wanted.sum(), rtol=4e-6)
    shares = np.exp(np.float64(logits) - np.float64(logits).max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    np.testing.assert_allclose(slope, shares - np.eye(classes)[labels], rtol=1e-5, atol=1e-10)
    direction = rng.normal(size=logits.shape).astype(np.float32)
    product = jax.jit(lambda x: jax.jvp(jax.grad(lambda x: total(x)[0]), (x,), (direction,))[1])
    inner = (shares * direction).sum(1, keepdims=True)
    np.testing.assert_allclose(product(logits), shares * (direction - inner), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_long_class_axis_may_stand_anywhere(axis):
    logits = np.random.default_rng(0).normal(size=(2, 3, 70)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 70, (2, 3))

    def total(x, axis):
        return jnp.sum(softmax_cross_entropy(x, labels, axis=axis) * jnp.arange(6.0).reshape(2, 3))

    value, slope = jax.value_and_grad(total)(np.moveaxis(logits, 2, axis), axis)
    wanted, wanted_slope = jax.value_and_grad(total)(logits, 2)
    np.testing.assert_allclose(value, wanted, rtol=4 * EPS)
    np.testing.assert_allclose(np.moveaxis(slope, axis, 2), wanted_slope, rtol=8 * EPS, atol=EPS)


def test_nothing_times_infinity_is_nothing_on_both_label_paths():
    logits, one_hot = jnp.array([-jnp.inf, 0.0, 0.0]), jnp.array([1.0, 0.0, 0.0])
    for options in ({"class_weights": jnp.array([0.0, 1.0, 1.0])}, {"label_smoothing": 1.0}):
        for labels in (jnp.array(0), one_hot):
            value, slope = jax.value_and_grad(softmax_cross_entropy)(logits, labels, **options)
            wanted = 0.0 if "class_weights" in options else np.log(2)
            np.testing.assert_allclose(value, wanted, rtol=4 * EPS)
            assert np.isfinite(slope).all()


def test_what_cannot_raise_under_jit_is_nan():
    logits = jnp.zeros((2, 3))
    jitted = jax.jit(softmax_cross_entropy)
    losses = jitted(logits, jnp.array([[1.5, -0.5, 0.0], [0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(np.isnan(losses), [True, False])
    for options in ({"label_smoothing": 2.0}, {"z_loss": -1.0}):
        assert np.isnan(jitted(logits, jnp.array([0, 1]), **options)).all()


def test_numpy_labels_are_checked_before_they_are_narrowed():
    with pytest.raises(ValueError, match="got 4294967297"):
        softmax_cross_entropy(jnp.zeros((1, 3)), np.array([2**32 + 1]))


# --- misuse ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((jnp.zeros((3, 3)), jnp.zeros((3, 1), int)), {}, ValueError, r"got shape \(3, 1\), wan"),
        ((jnp.zeros((3, 3)), jnp.zeros(3)), {}, ValueError, r"got \(3,\), wanted \(3, 3\)"),
        ((jnp.zeros((3, 3), int), jnp.zeros(3, int)), {}, TypeError, "logits must be floating"),
        ((jnp.zeros((3, 3)), jnp.zeros((3, 3), bool)), {}, TypeError, "got bool; write"),
        ((LOGITS, LABELS), {"reduction": "avg"}, ValueError, "reduction must be one of"),
        ((LOGITS, LABELS), {"reduction": "maen"}, ValueError, "did you mean 'mean'"),
        ((LOGITS, LABELS), {"label_smoothing": -0.1}, ValueError, "label_smoothing must lie"),
        ((LOGITS, LABELS), {"label_smoothing": 1.1}, ValueError, "label_smoothing must lie"),
        ((LOGITS, LABELS), {"z_loss": -1.0}, ValueError, "z_loss must be non-negative"),
        ((LOGITS, LABELS), {"label_smoothing": jnp.ones(6)}, ValueError, r"got shape \(6,\)"),
        ((LOGITS, LABELS), {"axis": 1.0}, TypeError, "axis must be an integer"),
        ((LOGITS, LABELS), {"ignore_index": 1.5}, TypeError, "ignore_index must be an integer"),
        ((LOGITS, LABELS * 1j), {}, TypeError, "labels must be real"),
        ((LOGITS, LABELS), {"axis": 2}, ValueError, "axis 2 is out of range"),
        ((LOGITS, LABELS), {"axis": (1, 1)}, ValueError, "twice"),
        ((LOGITS, LABELS), {"where": jnp.ones(6)}, TypeError, "where must be boolean"),
        ((LOGITS, LABELS), {"where": jnp.ones((6, 5), bool)}, ValueError, "without the class ax"),
        ((LOGITS, LABELS), {"weights": jnp.ones((6, 1))}, ValueError, r"got shape \(6, 1\)"),
        ((LOGITS, LABELS), {"class_weights": jnp.ones(4)}, ValueError, r"wanted \(5,\)"),
        ((LOGITS, LABELS), {"class_weights": -jnp.ones(5)}, ValueError, "non-negative"),
        ((LOGITS, LABELS), {"class_where": jnp.ones(5)}, TypeError, "class_where must be bool"),
        ((LOGITS, LABELS), {"class_where": jnp.ones(4, bool)}, ValueError, "class_where must be b"),
        ((LOGITS, ONE_HOT), {"ignore_index": 0}, ValueError, "goes with integer labels"),
        ((LOGITS, -ONE_HOT), {}, ValueError, r"non-negative, got -1.0 at position \(0, 0\)"),
        ((LOGITS, ONE_HOT * jnp.nan), {}, ValueError, "finite and non-negative"),
        ((jnp.zeros((2, 0)), jnp.zeros(2, int)), {}, ValueError, "at least one class"),
    ],
)
def test_misuse_is_named_with_what_was_got_and_wanted(arguments, options, error, message):
    # Unwrapped from the run-time type checks of this test run, which a user does not have.
    with pytest.raises(error, match=message):
        inspect.unwrap(softmax_cross_entropy)(*arguments, **options)


def test_probabilities_in_place_of_logits_draw_a_warning():
    with pytest.warns(UserWarning, match="look like probabilities"):
        softmax_cross_entropy(jax.nn.softmax(LOGITS), LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        softmax_cross_entropy(jax.nn.log_softmax(LOGITS), LABELS)


def test_where_and_weights_broadcast_to_the_examples():
    logits, labels = jnp.stack([LOGITS, LOGITS]), jnp.stack([LABELS, LABELS])
    row = jnp.arange(6) < 3
    got = softmax_cross_entropy(logits, labels, where=row[None], reduction="mean")
    wanted = softmax_cross_entropy(LOGITS[:3], LABELS[:3], reduction="mean")
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS)


# --- memory, tracing, devices ---------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1024, 32768), (8192, 1000), (65536, 10)])
def test_value_and_gradient_need_no_more_temporary_memory_than_optax(shape):
    logits = jax.ShapeDtypeStruct(shape, jnp.float32)
    labels = jax.ShapeDtypeStruct(shape[:1], jnp.int32)

    def temporary_bytes(loss):
        compiled = jax.jit(jax.value_and_grad(loss)).lower(logits, labels).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    theirs = temporary_bytes(
        lambda x, y: optax.losses.softmax_cross_entropy_with_integer_labels(x, y).mean()
    )
    assert temporary_bytes(partial(softmax_cross_entropy, reduction="mean")) <= theirs


@pytest.mark.parametrize("kind", [jax.sharding.AxisType.Explicit, jax.sharding.AxisType.Auto])
@pytest.mark.parametrize("spec", [("data", None), (None, "data"), ("data", "model")])
@pytest.mark.parametrize("labels", ["integer", "one_hot"])
def test_sharded_equals_single_device(kind, spec, labels):
    rng = np.random.default_rng(5)
    logits = jnp.asarray(rng.normal(size=(8, 1024)), jnp.float32)
    labels_n = jnp.asarray(rng.integers(0, 1024, 8))
    targets = labels_n if labels == "integer" else jnp.eye(1024)[labels_n]
    loss = partial(
        softmax_cross_entropy,
        label_smoothing=0.1,
        z_loss=0.01,
        class_weights=jnp.linspace(0.5, 2, 1024),
        reduction="mean",
    )
    wanted, slope = jax.value_and_grad(loss)(logits, targets)
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
    with jax.set_mesh(mesh):
        part = jax.sharding.PartitionSpec
        logits_s = jax.device_put(logits, jax.NamedSharding(mesh, part(*spec)))
        target_spec = part(spec[0]) if labels == "integer" else part(*spec)
        targets_s = jax.device_put(targets, jax.NamedSharding(mesh, target_spec))
        got, gradient = jax.jit(jax.value_and_grad(loss))(logits_s, targets_s)
        assert gradient.sharding.is_equivalent_to(logits_s.sharding, 2)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-9)


def test_inside_shard_map_each_device_takes_its_rows():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.PartitionSpec("data")
    local = jax.shard_map(softmax_cross_entropy, mesh=mesh, in_specs=(rows, rows), out_specs=rows)
    np.testing.assert_allclose(
        jax.jit(local)(LOGITS, LABELS), softmax_cross_entropy(LOGITS, LABELS), rtol=4 * EPS
    )
    slope = jax.jit(jax.grad(lambda x: jnp.sum(local(x, LABELS))))(LOGITS)
    wanted = jax.grad(lambda x: jnp.sum(softmax_cross_entropy(x, LABELS)))(LOGITS)
    np.testing.assert_allclose(slope, wanted, rtol=1e-5, atol=EPS)


def test_total_and_weight_equal_the_mean_over_uneven_micro_batches():
    losses = softmax_cross_entropy(LOGITS, LABELS)
    parts = [xentjax.total_and_weight(losses[:1]), xentjax.total_and_weight(losses[1:])]
    total, weight = (sum(p[i] for p in parts) for i in range(2))
    wanted = softmax_cross_entropy(LOGITS, LABELS, reduction="mean")
    np.testing.assert_allclose(total / weight, wanted, rtol=4 * EPS)


def test_logits_that_an_explicit_mesh_holds_in_parts_are_taken_eagerly():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    placed = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    logits = jax.random.normal(jax.random.key(0), (64, 4))
    labels = jnp.arange(64) % 4
    with jax.set_mesh(mesh):
        shared = softmax_cross_entropy(
            jax.device_put(logits, placed), jax.device_put(labels, placed)
        )
    np.testing.assert_array_equal(shared, softmax_cross_entropy(logits, labels))
