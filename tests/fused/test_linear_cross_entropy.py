"""linear_cross_entropy against its float64 definition: values, gradients, dtypes, shapes, masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xentjax
from tests.fused import oracle, problems
from xentjax.fused import linear_cross_entropy
from xentjax.fused.cases import SIZES, TILE, Case

EPS = float(np.finfo(np.float32).eps)
EVERY = (
    "bias",
    "weights",
    "class_weights",
    "label_smoothing",
    "z_loss",
    "soft_cap",
    "logit_scale",
)
# Names of options, reduction, vocab_axis, whether rows are left out.
TABLE = [
    ((), "sum", 0, True),
    ((), "none", -1, False),
    (("weights",), "mean", 0, False),
    (("class_weights",), "mean", -1, True),
    (("label_smoothing",), "mean", 0, False),
    (("bias", "z_loss"), "sum", -1, True),
    (("soft_cap",), "none", 0, True),
    (("bias", "logit_scale"), "mean", -1, False),
    (("class_weights", "label_smoothing", "z_loss"), "none", -1, True),
    (EVERY, "mean", -1, True),
    (EVERY, "none", 0, True),
]


def masks(rng, case, left_out):
    """Labels, and with `left_out` a mask beside an ignored label."""
    labels = rng.integers(0, case.v, case.n)
    if not left_out:
        return labels, {}
    labels = np.where(rng.random(case.n) < 0.2, -100, labels)
    return labels, {"where": rng.random(case.n) < 0.8, "ignore_index": -100}


def compare(case, names, reduction, vocab_axis, left_out, seed=0, scales=problems.SCALES):
    """Errors in units of what is allowed: of the value, and of each gradient by operand."""
    rng = np.random.default_rng(seed)
    labels, masked = masks(rng, case, left_out)
    fixed = {**masked, "reduction": reduction, "vocab_axis": vocab_axis}
    cotangents = rng.normal(size=case.n).astype(np.float32) if reduction == "none" else None

    @jax.jit
    def ours(operands):
        def total(operands):
            found = linear_cross_entropy(labels=labels, tile=TILE, **operands, **fixed)
            return jnp.sum(found if cotangents is None else found * cotangents), found

        (_, found), slopes = jax.value_and_grad(total, has_aux=True)(operands)
        return found, slopes

    truth = oracle.value_and_gradients(oracle.jax_cross_entropy(labels, cotangents, **fixed))
    worst = {}
    for std in scales:
        operands = problems.head(rng, case, std, vocab_axis)
        operands |= problems.options(rng, case, names)
        value, slopes = ours(operands)
        exact = oracle.float64(operands)
        wanted = oracle.cross_entropy(exact, labels, **fixed)
        _, wanted_slopes = truth(operands)
        allowed = allowed_errors(exact, wanted, wanted_slopes, vocab_axis, cotangents)
        found = {"value": (value, wanted)} | {n: (slopes[n], wanted_slopes[n]) for n in operands}
        for name, (got, want) in found.items():
            assert got.dtype == np.float32
            error = np.abs(np.float64(got) - want) / allowed[name]
            worst[name] = max(worst.get(name, 0.0), float(np.max(error, initial=0.0)))
    return worst


def allowed_errors(exact, value, slopes, vocab_axis, cotangents):
    """What float32 may miss: 1e-6 of a loss, a few roundings of each sum for a gradient.

    A loss moves by at most 2 δ when logits move by δ: Σ |∂l/∂x| ≤ 2. Gradients sum up to V or N
    terms: c · eps · √n of the largest; those of scalars cancel, so of their terms: Σ |share| · 2 ·
    |logit|.
    """
    n = max(exact["hidden"].shape[0], *exact["weight"].shape)
    tiny = float(np.finfo(np.float32).tiny) * n
    logits = oracle.logits_of(exact, vocab_axis)
    # The grid's scores are exact; a soft cap rounds four times.
    largest_logit = float(np.max(np.abs(logits), initial=1.0))
    blur = 4 * EPS * largest_logit if "soft_cap" in exact else 0.0
    weight = np.max(exact.get("weights", 1.0), initial=1.0) * np.max(exact.get("class_weights", 1))
    shares = weight * (n if cotangents is None else np.sum(np.abs(cotangents)))
    allowed = {"value": 1e-6 * np.abs(value) + (2 * weight * blur + tiny) * np.ones_like(value)}
    for name, slope in slopes.items():
        size = float(np.max(np.abs(slope), initial=0.0))
        if name in ("label_smoothing", "logit_scale", "soft_cap"):
            size += shares * 2 * largest_logit / max(1.0, float(exact[name]))
        if name in ("weights", "class_weights"):
            size += weight * float(np.max(np.abs(value), initial=0.0)) / n
        allowed[name] = (2 * EPS * np.sqrt(n) + 2 * blur) * size + tiny
    return allowed


@pytest.mark.parametrize(("names", "reduction", "vocab_axis", "left_out"), TABLE)
def test_value_and_every_gradient_equal_the_float64_definition(
    names, reduction, vocab_axis, left_out, report_figure
):
    worst = compare(Case(9, 5, 37), names, reduction, vocab_axis, left_out)
    largest = max(worst, key=lambda name: worst[name])
    report_figure(
        f"linear_cross_entropy {'+'.join(names) or 'plain'} {reduction}: of what is allowed, value "
        f"{worst['value']:.2f} (of 1e-6), {largest} {worst[largest]:.2f}"
    )
    assert max(worst.values()) <= 1, worst


@pytest.mark.parametrize("case", [case for case in SIZES if case != Case(9, 5, 37)], ids=str)
def test_every_size_equals_the_definition(case):
    worst = compare(case, ("bias", "label_smoothing"), "mean", -1, case.n > 8)
    assert max(worst.values()) <= 1, worst


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_random_options_shapes_and_scales_equal_the_definition(seed):
    rng = np.random.default_rng(1000 + seed)
    case = Case(int(rng.integers(0, 30)), int(rng.integers(1, 17)), int(rng.integers(1, 150)))
    names = tuple(name for name in EVERY if rng.random() < 0.5)
    reduction = ("mean", "sum", "none")[seed % 3]
    scales = 10 ** rng.uniform(-3, 1.5, 4)
    worst = compare(case, names, reduction, -(seed % 2), bool(rng.random() < 0.7), seed, scales)
    assert max(worst.values()) <= 1, (case, names, worst)


@pytest.mark.parametrize("std", problems.SCALES)
def test_numbers_off_the_grid_err_by_their_products_and_no_more(std, report_figure):
    case, rng = Case(40, 16, 127), np.random.default_rng(3)
    hidden = rng.normal(size=(case.n, case.d)).astype(np.float32)
    weight = (rng.normal(size=(case.d, case.v)) * std / 4).astype(np.float32)
    labels = rng.integers(0, case.v, case.n)
    operands = {"hidden": hidden, "weight": weight}
    got = linear_cross_entropy(labels=labels, reduction="none", tile=TILE, **operands)
    wanted = oracle.cross_entropy(oracle.float64(operands), labels, reduction="none")
    # A dot product of D terms is right to D · eps/2 · Σ |h w| in any order of summation, and a
    # loss moves by at most twice what a logit moves.
    blur = (
        case.d * EPS / 2 * np.max(np.abs(np.float64(hidden)) @ np.abs(np.float64(weight)), axis=1)
    )
    errors = np.abs(got - wanted) / (1e-6 * wanted + 2 * blur)
    mean = abs(np.mean(np.float64(got)) / np.mean(wanted) - 1)
    report_figure(f"linear_cross_entropy, logits of std {std}: mean loss off by {mean:.1e}")
    assert np.max(errors) <= 1


# --- dtypes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "vocab_axis"), [("bfloat16", -1), ("float16", 0)])
def test_16_bit_operands_err_no_more_than_the_dense_loss(dtype, vocab_axis, report_figure):
    case, rng = Case(40, 16, 127), np.random.default_rng(4)
    labels = rng.integers(0, case.v, case.n)

    def ours(hidden, weight):
        return linear_cross_entropy(hidden, weight, labels, vocab_axis=vocab_axis, tile=TILE)

    def dense(hidden, weight):
        logits = hidden @ (weight if vocab_axis == -1 else weight.T)
        assert logits.dtype == hidden.dtype
        return xentjax.softmax_cross_entropy(logits, labels, reduction="mean")

    truth = oracle.value_and_gradients(oracle.jax_cross_entropy(labels, vocab_axis=vocab_axis))
    both = [jax.jit(jax.value_and_grad(f, argnums=(0, 1))) for f in (ours, dense)]
    for std in problems.SCALES:
        shape = (case.d, case.v) if vocab_axis == -1 else (case.v, case.d)
        hidden = jnp.asarray(rng.normal(size=(case.n, case.d)), dtype)
        weight = jnp.asarray(rng.normal(size=shape) * std / 4, dtype)
        value, slopes = truth({"hidden": hidden, "weight": weight})
        wanted = value, slopes["hidden"], slopes["weight"]
        got, theirs = ((v, *g) for v, g in (f(hidden, weight) for f in both))
        assert [x.dtype for x in got] == [jnp.float32, dtype, dtype]
        for name, truth_, a, b in zip(
            ("value", "hidden", "weight"), wanted, got, theirs, strict=True
        ):
            eps = EPS if name == "value" else float(jnp.finfo(dtype).eps)
            error, of_dense = (np.max(np.abs(np.float64(x) - truth_)) for x in (a, b))
            report_figure(f"{dtype}, std {std}, {name}: {error:.1e} (dense {of_dense:.1e})")
            assert error <= of_dense + eps * np.max(np.abs(truth_)), (std, name)


def test_operands_of_different_dtypes_get_gradients_of_their_own():
    case, rng = Case(9, 5, 37), np.random.default_rng(5)
    labels, found = rng.integers(0, case.v, case.n), problems.head(rng, case)
    hidden, weight = jnp.asarray(found["hidden"], jnp.bfloat16), jnp.asarray(found["weight"])
    loss = lambda h, w: linear_cross_entropy(h, w, labels, tile=TILE)  # noqa: E731
    value, slopes = jax.value_and_grad(loss, argnums=(0, 1))(hidden, weight)
    wide, wide_slopes = jax.value_and_grad(loss, argnums=(0, 1))(found["hidden"], weight)
    assert [x.dtype for x in (value, *slopes)] == [jnp.float32, jnp.bfloat16, jnp.float32]
    # The products of bfloat16 and float32 are products in float32.
    assert float(value) == float(wide)
    np.testing.assert_array_equal(slopes[0], wide_slopes[0].astype(jnp.bfloat16))
    np.testing.assert_array_equal(slopes[1], wide_slopes[1])


@pytest.mark.usefixtures("x64")
def test_float64_operands_are_computed_in_float64():
    case, rng = Case(9, 5, 37), np.random.default_rng(6)
    labels, fixed = masks(rng, case, True)
    operands = oracle.float64(problems.head(rng, case, 3.0) | problems.options(rng, case, EVERY))
    operands["hidden"] = rng.normal(size=(case.n, case.d))
    loss = lambda operands: linear_cross_entropy(labels=labels, tile=TILE, **operands, **fixed)  # noqa: E731
    value, slopes = jax.jit(jax.value_and_grad(loss))(operands)
    truth = oracle.value_and_gradients(oracle.jax_cross_entropy(labels, **fixed))
    wanted, wanted_slopes = truth(operands)
    np.testing.assert_allclose(value, wanted, rtol=1e-14)
    for name, slope in slopes.items():
        assert slope.dtype == np.float64
        # Some hundreds of roundings, relative to the largest entry.
        scale = np.max(np.abs(wanted_slopes[name]))
        np.testing.assert_allclose(slope, wanted_slopes[name], rtol=0, atol=1e-13 * scale)


LABEL_DTYPES = ("int8", "uint8", "int16", "uint16", "int64", "uint64")


@pytest.mark.parametrize("dtype", LABEL_DTYPES)
def test_labels_of_every_integer_dtype_name_the_same_class(dtype):
    # 300 classes: more than 8 bits count to.
    case, rng = Case(9, 5, 300), np.random.default_rng(7)
    operands = problems.head(rng, case)
    top = 127 if dtype == "int8" else 255 if dtype == "uint8" else 299
    labels = np.array([0, 1, top, top - 1, 5, 77, 126, 127, 100])
    wanted = linear_cross_entropy(labels=labels.astype(np.int32), tile=TILE, **operands)
    assert float(linear_cross_entropy(labels=labels.astype(dtype), tile=TILE, **operands)) == float(
        wanted
    )


def test_an_ignored_label_is_compared_in_the_labels_own_dtype():
    case, rng = Case(9, 5, 300), np.random.default_rng(8)
    operands = problems.head(rng, case)
    labels = np.array([0, 1, 156, 255, 5, 77, 126, 127, 100], np.uint8)  # 156 = −100 mod 256
    plain = linear_cross_entropy(labels=labels, tile=TILE, **operands)
    same = linear_cross_entropy(labels=labels, tile=TILE, ignore_index=-100, **operands)
    assert float(plain) == float(same)
    left_out = linear_cross_entropy(labels=labels, tile=TILE, ignore_index=255, **operands)
    rest = {**operands, "hidden": np.delete(operands["hidden"], 3, axis=0)}
    wanted = linear_cross_entropy(labels=np.delete(labels, 3), tile=TILE, **rest)
    np.testing.assert_allclose(left_out, wanted, rtol=4 * EPS)


# --- shapes, tiles, repetition ------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_any_leading_dimensions_equal_the_flattened(reduction):
    case, rng = Case(24, 5, 37), np.random.default_rng(9)
    operands, labels = problems.head(rng, case), rng.integers(0, case.v, case.n)
    where, weights = rng.random(24) < 0.8, rng.random(24).astype(np.float32)
    loss = lambda shape: linear_cross_entropy(  # noqa: E731
        operands["hidden"].reshape(*shape, case.d),
        operands["weight"],
        labels.reshape(shape),
        where=where.reshape(shape),
        weights=weights.reshape(shape),
        reduction=reduction,
        tile=5,
    )
    flat = loss((24,))
    for shape in [(2, 3, 4)]:
        got = loss(shape)
        assert got.shape == (() if reduction == "mean" else shape)
        np.testing.assert_array_equal(got.reshape(flat.shape), flat)
    one = linear_cross_entropy(
        operands["hidden"][3], operands["weight"], labels[3], reduction=reduction
    )
    every = linear_cross_entropy(labels=labels, reduction="none", tile=5, **operands)
    np.testing.assert_allclose(one, every[3], rtol=4 * EPS)
    row = where[:12]  # a mask and weights of a row, for both rows
    broadcast = linear_cross_entropy(
        operands["hidden"].reshape(2, 12, case.d),
        operands["weight"],
        labels.reshape(2, 12),
        where=row[None],
        weights=weights[:2, None],
        reduction=reduction,
    )
    spelled = linear_cross_entropy(
        labels=labels,
        where=np.tile(row, 2),
        weights=np.repeat(weights[:2], 12),
        reduction=reduction,
        **operands,
    )
    np.testing.assert_allclose(broadcast.reshape(spelled.shape), spelled, rtol=4 * EPS)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_results_do_not_depend_on_the_tile(reduction):
    case, rng = Case(40, 16, 127), np.random.default_rng(10)
    operands, (labels, masked) = problems.head(rng, case, 3.0), masks(rng, case, True)
    cotangents = rng.normal(size=40 if reduction == "none" else ()).astype(np.float32)

    def found(tile):
        def total(operands):
            options = {**masked, "label_smoothing": 0.1, "reduction": reduction, "tile": tile}
            losses = linear_cross_entropy(labels=labels, **operands, **options)
            return jnp.sum(cotangents * losses), losses

        (_, losses), slopes = jax.jit(jax.value_and_grad(total, has_aux=True))(operands)
        return losses, slopes

    wanted, slopes = found(40)
    for tile in (1, 39) if reduction == "mean" else (7, xentjax.fused.plan(40, 16, 127)):
        value, got = found(tile)
        np.testing.assert_allclose(value, wanted, rtol=4 * EPS)
        for name, slope in slopes.items():
            # Sums over V and N in another order: some units in the last place of the largest.
            scale = float(jnp.max(jnp.abs(slope)))
            np.testing.assert_allclose(got[name], slope, rtol=0, atol=4 * EPS * scale)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_two_runs_are_bitwise_equal(reduction):
    case, rng = Case(300, 16, 1009), np.random.default_rng(11)
    operands, labels = problems.head(rng, case), rng.integers(0, case.v, case.n)

    @jax.jit
    def found(operands):
        def total(operands):
            losses = linear_cross_entropy(labels=labels, reduction=reduction, tile=64, **operands)
            return jnp.sum(jnp.sin(losses))

        return jax.value_and_grad(total)(operands)

    first = found(operands)
    for _ in range(3):
        jax.tree.map(np.testing.assert_array_equal, found(operands), first)


# --- examples and classes left out --------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "reduction"), [((), "mean"), (("bias", "class_weights", "z_loss"), "none")]
)
def test_rows_left_out_may_hold_nan_and_reach_nothing(names, reduction):
    case, rng = Case(9, 5, 37), np.random.default_rng(12)
    labels = rng.integers(0, case.v, case.n)
    where = np.array([1, 1, 0, 1, 1, 1, 1, 0, 1], bool)
    labels[4], labels[7] = -100, 10**6  # ignored; and nonsense in a row that is masked
    fixed = {"where": where, "ignore_index": -100, "reduction": reduction}
    clean = problems.head(rng, case) | problems.options(rng, case, names)
    dirty = {**clean, "hidden": clean["hidden"].copy()}
    dirty["hidden"][[2, 4, 7]] = [[np.nan], [np.inf], [-np.inf]]
    cotangents = rng.normal(size=9 if reduction == "none" else ()).astype(np.float32)

    @jax.jit
    @jax.value_and_grad
    def found(operands):
        losses = linear_cross_entropy(labels=labels, tile=4, **operands, **fixed)
        return jnp.sum(cotangents * losses)

    jax.tree.map(np.testing.assert_array_equal, found(dirty), found(clean))
    value, slopes = found(dirty)
    np.testing.assert_array_equal(slopes["hidden"][np.array([2, 4, 7])], 0)
    wanted = oracle.cross_entropy(oracle.float64(clean), labels, **fixed)
    np.testing.assert_allclose(value, np.sum(cotangents * wanted), rtol=4e-6)


@pytest.mark.parametrize(
    ("n", "reduction"), [(0, "mean"), (0, "none"), (5, "mean"), (5, "sum"), (5, "none")]
)
def test_nothing_to_average_is_zero_with_zero_gradients(n, reduction):
    case, rng = Case(n, 4, 11), np.random.default_rng(13)
    operands = problems.head(rng, case) | problems.options(rng, case, EVERY)
    labels = np.full(n, -100)

    def total(operands):
        losses = linear_cross_entropy(
            labels=labels, ignore_index=-100, reduction=reduction, tile=2, **operands
        )
        return jnp.sum(losses)

    value, slopes = jax.jit(jax.value_and_grad(total))(operands)
    assert float(value) == 0
    for slope in slopes.values():
        np.testing.assert_array_equal(slope, np.zeros_like(slope))


def test_a_class_at_minus_infinity_takes_no_part():
    case, rng = Case(9, 5, 37), np.random.default_rng(14)
    operands = problems.head(rng, case)
    labels, bias = rng.integers(0, 36, case.n), np.zeros(37, np.float32)
    bias[36] = -np.inf
    options = {"label_smoothing": 0.25, "z_loss": 0.01, "tile": 4}

    def loss(hidden, weight, bias):
        return linear_cross_entropy(hidden, weight, labels, bias=bias, **options)

    found = jax.value_and_grad(loss, argnums=(0, 1))
    value, (dhidden, dweight) = found(operands["hidden"], operands["weight"], bias)
    fewer, (dfewer, dweight_fewer) = found(
        operands["hidden"], operands["weight"][:, :36], bias[:36]
    )
    np.testing.assert_allclose(value, fewer, rtol=4 * EPS)
    np.testing.assert_allclose(dhidden, dfewer, rtol=0, atol=8 * EPS * np.max(np.abs(dfewer)))
    np.testing.assert_array_equal(dweight[:, 36], 0)
    np.testing.assert_allclose(
        dweight[:, :36], dweight_fewer, rtol=0, atol=8 * EPS * np.max(np.abs(dweight_fewer))
    )
    impossible = linear_cross_entropy(
        labels=np.full(case.n, 36), bias=bias, reduction="none", tile=4, **operands
    )
    np.testing.assert_array_equal(impossible, np.inf)


# --- margins ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_margin_of_fifty_keeps_its_loss_and_its_gradient(reduction):
    hidden, weight = jnp.array([[50.0], [-50.0], [15.0]]), jnp.array([[1.0, 0.0]])
    labels, margins = jnp.array([0, 1, 0]), np.array([50.0, 50.0, 15.0])

    def total(hidden, weight):
        found = linear_cross_entropy(hidden, weight, labels, reduction=reduction, tile=2)
        return jnp.sum(found)

    value, (dhidden, dweight) = jax.value_and_grad(total, argnums=(0, 1))(hidden, weight)
    share = 1 / 3 if reduction == "mean" else 1.0
    rest = np.exp(-margins)
    slopes = share * rest / (1 + rest) * np.array([-1, 1, -1])  # ∂l/∂x₀ = −∂l/∂x₁
    np.testing.assert_allclose(value, share * np.sum(np.log1p(rest)), rtol=1e-6)
    np.testing.assert_allclose(dhidden[:, 0], slopes, rtol=1e-6)
    both = np.sum(slopes * np.asarray(hidden)[:, 0])
    np.testing.assert_allclose(dweight[0], [both, -both], rtol=1e-6)
    first = linear_cross_entropy(hidden[:1], weight, labels[:1], reduction=reduction)
    np.testing.assert_allclose(first.reshape(()), np.exp(-50.0), rtol=1e-6)  # 1.9e-22


# --- conventions of others ----------------------------------------------------------------------


def test_conventions_are_those_of_torch():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    case, rng = Case(23, 7, 37), np.random.default_rng(15)
    operands, (labels, _) = problems.head(rng, case), masks(rng, case, True)
    class_weights = rng.uniform(0.2, 2, case.v).astype(np.float32)
    logits = torch.tensor(operands["hidden"]).double() @ torch.tensor(operands["weight"]).double()
    for reduction in ("mean", "none"):
        options = {"label_smoothing": 0.1, "ignore_index": -100, "reduction": reduction}
        wanted = torch.nn.functional.cross_entropy(
            logits, torch.tensor(labels), weight=torch.tensor(class_weights).double(), **options
        )
        got = linear_cross_entropy(
            labels=labels, class_weights=class_weights, tile=TILE, **operands, **options
        )
        np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-6)
