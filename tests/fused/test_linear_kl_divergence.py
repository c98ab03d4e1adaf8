"""linear_kl_divergence against float64 and torch: values, gradients, masks, bad input."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.fused import oracle, problems
from xentjax.fused import linear_kl_divergence
from xentjax.fused.cases import SIZES, TILE, Case

EPS = float(np.finfo(np.float32).eps)
CASE, OTHER = Case(9, 5, 37), Case(9, 3, 37)  # the teacher's hidden size is another


def heads(rng, case=CASE, other=OTHER, std=1.0, axes=(-1, -1)):
    student, teacher = (
        problems.head(rng, c, std, axis) for c, axis in zip((case, other), axes, strict=True)
    )
    owned = {"student_" + name: x for name, x in student.items()}
    return owned | {"teacher_" + name: x for name, x in teacher.items()}


def defined(operands, axes=(-1, -1), temperature=1.0, xp=np):
    """KL of each example."""
    student, teacher = (
        oracle.logits_of({name: operands[owner + name] for name in ("hidden", "weight")}, axis, xp)
        for owner, axis in zip(("student_", "teacher_"), axes, strict=True)
    )
    return oracle.kl_divergence(student / temperature, teacher / temperature, xp)


@pytest.mark.parametrize("case", SIZES, ids=str)
def test_values_equal_the_float64_definition(case):
    rng = np.random.default_rng(0)
    for std in problems.SCALES:
        operands = heads(rng, case, case._replace(d=3), std)
        got = linear_kl_divergence(tile=TILE, reduction="none", **operands)
        wanted = defined(oracle.float64(operands))
        # Σ p · (gap): a sum of terms of both signs, each as large as a logit times its p.
        exact = oracle.float64(operands)
        gaps = np.abs(
            oracle.logits_of({"hidden": exact["student_hidden"], "weight": exact["student_weight"]})
        )
        tolerance = 4 * EPS * (1 + np.max(gaps, initial=0.0))
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=tolerance)
        assert np.all(got >= 0)


@pytest.mark.parametrize("axes", [(-1, 0), (0, -1)])
def test_gradients_of_all_four_equal_the_definitions(axes):
    rng = np.random.default_rng(1)
    weights, where = rng.uniform(0.5, 2, 9).astype(np.float32), np.arange(9) != 4
    options = {"vocab_axis": axes[0], "teacher_vocab_axis": axes[1], "where": where, "tile": 4}

    @jax.jit
    @jax.grad
    def ours(operands):
        return linear_kl_divergence(weights=weights, **operands, **options)

    def mean(operands):
        temperature = operands["temperature"]
        shares = np.where(where, weights, 0).astype(np.float64)
        return jnp.sum(shares * defined(operands, axes, temperature, jnp)) / shares.sum()

    truth = oracle.value_and_gradients(mean)
    for std in (0.1, 1.0, 5.0):
        operands = {**heads(rng, std=std, axes=axes), "temperature": np.float32(2.0)}
        value, wanted = truth(operands)
        got = ours(operands)
        for name, slope in got.items():
            # Sums of V terms, each a difference of logits times p; those of T cancel, as logits do.
            largest = max(np.max(np.abs(wanted[name])), value, std)
            np.testing.assert_allclose(
                slope, wanted[name], rtol=0, atol=4 * EPS * np.sqrt(CASE.v) * largest, err_msg=name
            )


def test_equal_heads_diverge_by_exactly_nothing():
    rng = np.random.default_rng(2)
    head = problems.head(rng, CASE, 3.0)
    both = {f"{owner}_{name}": x for owner in ("student", "teacher") for name, x in head.items()}
    value, slopes = jax.value_and_grad(
        lambda operands: linear_kl_divergence(tile=4, reduction="sum", **operands)
    )(both)
    assert float(value) == 0
    for slope in slopes.values():
        np.testing.assert_array_equal(slope, np.zeros_like(slope))


def test_a_frozen_teacher_gets_no_gradient_and_changes_no_other():
    rng = np.random.default_rng(3)
    operands = heads(rng)

    def loss(stop):
        def total(operands):
            given = {
                name: jax.lax.stop_gradient(x) if stop and name.startswith("teacher") else x
                for name, x in operands.items()
            }
            return linear_kl_divergence(tile=4, **given)

        return jax.jit(jax.value_and_grad(total))(operands)

    (value, slopes), (same, free) = loss(True), loss(False)
    np.testing.assert_allclose(value, same, rtol=2 * EPS)
    for name, slope in slopes.items():
        if name.startswith("teacher"):
            np.testing.assert_array_equal(slope, np.zeros_like(slope))
            assert np.any(free[name] != 0)
        else:
            np.testing.assert_allclose(slope, free[name], rtol=0, atol=2 * EPS)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_rows_left_out_may_hold_nan_and_reach_nothing(reduction):
    rng = np.random.default_rng(4)
    clean, where = heads(rng), np.arange(9) % 4 != 1
    dirty = jax.tree.map(np.copy, clean)
    dirty["student_hidden"][1], dirty["teacher_hidden"][5] = np.nan, np.inf

    @jax.jit
    @jax.value_and_grad
    def found(operands):
        rows = linear_kl_divergence(where=where, reduction=reduction, tile=4, **operands)
        return jnp.sum(rows)

    jax.tree.map(np.testing.assert_array_equal, found(dirty), found(clean))
    _, slopes = found(dirty)
    for name in ("student_hidden", "teacher_hidden"):
        np.testing.assert_array_equal(slopes[name][~where], 0)
    wanted = defined(oracle.float64(clean))[where]
    wanted = np.mean(wanted) if reduction == "mean" else np.sum(wanted)
    np.testing.assert_allclose(found(dirty)[0], wanted, rtol=4e-6)


def test_the_mean_is_the_batchmean_of_torch():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    operands = heads(np.random.default_rng(5))
    student, teacher = (
        torch.tensor(operands[o + "hidden"]).double()
        @ torch.tensor(operands[o + "weight"]).double()
        for o in ("student_", "teacher_")
    )
    wanted = torch.nn.functional.kl_div(
        (student / 2).log_softmax(1),
        (teacher / 2).log_softmax(1),
        log_target=True,
        reduction="batchmean",
    )
    got = linear_kl_divergence(temperature=2.0, tile=4, **operands)
    np.testing.assert_allclose(got, float(wanted), rtol=2e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"teacher_weight": np.ones((3, 36))}, ValueError, "one vocabulary: got 37.*36"),
        ({"teacher_hidden": np.ones((8, 3))}, ValueError, r"same batch.*\(9, 5\).*\(8, 3\)"),
        ({"teacher_hidden": np.ones((9, 4))}, ValueError, "teacher_hidden and teacher_weight must"),
        ({"student_hidden": np.ones((9, 4))}, ValueError, "student_hidden and student_weight must"),
        ({"student_hidden": np.ones((9, 5), int)}, TypeError, "student_hidden.*floating.*int"),
        ({"teacher_weight": np.ones((3, 37), int)}, TypeError, "teacher_weight.*floating.*int"),
        ({"teacher_vocab_axis": 2}, ValueError, "teacher_vocab_axis must be.*got 2"),
        ({"student_bias": np.ones(36)}, ValueError, r"student_bias.*\(36,\).*\(37,\)"),
        ({"teacher_bias": np.ones(36)}, ValueError, r"teacher_bias.*\(36,\).*\(37,\)"),
        ({"temperature": 0.0}, ValueError, "temperature must be positive and finite, got 0"),
        (
            {"student_soft_cap": -1.0},
            ValueError,
            "student_soft_cap must be positive",
        ),
        ({"reduction": "average"}, ValueError, "reduction must be one of.*average"),
        ({"where": np.ones(9)}, TypeError, "where must be boolean"),
        ({"weights": np.ones(8)}, ValueError, r"weights.*\(8,\).*\(9,\)"),
        ({"tile": 0}, ValueError, "tile must be at least 1 row, got 0"),
    ],
)
def test_misuse_is_named_with_what_was_got_and_wanted(change, error, message):
    operands = heads(np.random.default_rng(6))
    change = {
        n: x.astype("f4") if getattr(x, "dtype", "") == "f8" and n != "where" else x
        for n, x in change.items()
    }
    with pytest.raises(error, match=message):
        inspect.unwrap(linear_kl_divergence)(**(operands | change))
