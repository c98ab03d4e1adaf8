"""linear_log_probs against float64: values, gradients, masks, ties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.fused import oracle, problems
from xentjax.fused import linear_cross_entropy, linear_log_probs
from xentjax.fused.cases import SIZES, TILE, Case

EPS = float(np.finfo(np.float32).eps)
NAMES = ("log_prob", "logsumexp", "entropy")


@pytest.mark.parametrize("case", SIZES, ids=str)
def test_values_equal_the_float64_definition(case):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, case.v, case.n)
    for std in problems.SCALES:
        operands = problems.head(rng, case, std)
        got = linear_log_probs(labels=labels, tile=TILE, **operands)
        exact = oracle.float64(operands)
        logits = oracle.logits_of(exact)
        nll, _ = oracle.row_losses(logits, labels, {})
        np.testing.assert_allclose(-got.log_prob, nll, rtol=1e-6, atol=1e-36)
        _, lse, entropy = oracle.log_probs(exact, labels)
        np.testing.assert_allclose(
            got.logsumexp, lse, rtol=1e-6, atol=EPS * np.max(np.abs(logits), initial=1.0)
        )
        np.testing.assert_allclose(got.entropy, entropy, rtol=2e-6, atol=1e-12)
        np.testing.assert_array_equal(got.prediction, logits.argmax(axis=1))
        np.testing.assert_array_equal(got.correct, logits.argmax(axis=1) == labels)
        assert [x.dtype for x in got] == [jnp.float32] * 3 + [jnp.int32, jnp.bool_]


@pytest.mark.parametrize("vocab_axis", [-1, 0])
def test_gradients_with_any_cotangents_equal_the_definitions(vocab_axis):
    case, rng = Case(9, 5, 37), np.random.default_rng(1)
    labels = rng.integers(0, case.v, case.n)
    cotangents = rng.normal(size=(3, case.n)).astype(np.float32)
    options = problems.options(rng, case, ("bias", "logit_scale"))

    @jax.jit
    @jax.grad
    def ours(operands):
        found = linear_log_probs(labels=labels, vocab_axis=vocab_axis, tile=4, **operands)
        return sum(jnp.sum(c * x) for c, x in zip(cotangents, found[:3], strict=True))

    def defined(operands):
        found = oracle.log_probs(operands, labels, vocab_axis=vocab_axis, xp=jnp)
        return jnp.sum(cotangents.astype(np.float64) * jnp.stack(found))

    truth = oracle.value_and_gradients(defined)
    for std in problems.SCALES:
        operands = problems.head(rng, case, std, vocab_axis) | options
        got, (_, wanted) = ours(operands), truth(operands)
        # The entropy's slope is p · (a logit's depth): sums of V or N terms of that size.
        size = 1 + np.max(np.abs(oracle.logits_of(oracle.float64(operands), vocab_axis)))
        for name, slope in got.items():
            largest = max(float(np.max(np.abs(wanted[name]))), size if name == "logit_scale" else 0)
            tolerance = 2 * EPS * np.sqrt(case.v) * largest
            np.testing.assert_allclose(slope, wanted[name], rtol=0, atol=tolerance, err_msg=name)


def test_log_prob_is_the_negative_loss_of_each_token():
    case, rng = Case(9, 5, 37), np.random.default_rng(2)
    operands, labels = problems.head(rng, case, 3.0), rng.integers(0, case.v, case.n)
    options = {"soft_cap": 5.0, "logit_scale": 0.5, "bias": rng.normal(size=37).astype("float32")}
    found = linear_log_probs(labels=labels, tile=4, **operands, **options)
    losses = linear_cross_entropy(labels=labels, reduction="none", tile=4, **operands, **options)
    np.testing.assert_allclose(found.log_prob, -losses, rtol=4 * EPS)


@pytest.mark.parametrize("labels", [[0, 3], [1, 1]])
def test_the_first_of_equal_logits_is_predicted(labels):
    weight = jnp.array([[1.0, 2.0, 2.0, 0.0, 2.0]])
    found = linear_log_probs(jnp.array([[1.0], [0.0]]), weight, jnp.array(labels), tile=1)
    np.testing.assert_array_equal(found.prediction, [1, 0])
    np.testing.assert_array_equal(found.correct, [labels[0] == 1, labels[1] == 0])
    np.testing.assert_allclose(found.entropy[1], np.log(5), rtol=EPS)


def test_tokens_left_out_are_zero_and_false_with_zero_gradient():
    case, rng = Case(9, 5, 37), np.random.default_rng(3)
    operands, labels = problems.head(rng, case), rng.integers(0, case.v, case.n)
    where = np.arange(9) != 2
    labels[5] = -100
    rows = np.array([2, 5])
    operands["hidden"][rows] = np.nan
    found = linear_log_probs(labels=labels, where=where, ignore_index=-100, tile=4, **operands)
    for x in found:
        np.testing.assert_array_equal(x[rows], np.zeros_like(x[rows]))
    assert np.all(np.isfinite(found.entropy))

    def total(operands):
        found = linear_log_probs(labels=labels, where=where, ignore_index=-100, tile=4, **operands)
        return jnp.sum(found.log_prob) + jnp.sum(found.entropy * found.logsumexp)

    slopes = jax.jit(jax.grad(total))(operands)
    np.testing.assert_array_equal(slopes["hidden"][rows], 0)
    assert np.all(np.isfinite(slopes["weight"]))
    assert np.any(slopes["weight"] != 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bit_operands_err_no_more_than_the_dense_functions(dtype):
    case, rng = Case(23, 8, 37), np.random.default_rng(4)
    labels = rng.integers(0, case.v, case.n)
    hidden = jnp.asarray(rng.normal(size=(case.n, case.d)), dtype)
    weight = jnp.asarray(rng.normal(size=(case.d, case.v)), dtype)
    logits = hidden @ weight
    dense = oracle.log_probs({"hidden": np.eye(case.n), "weight": oracle.float64(logits)}, labels)
    wanted = oracle.log_probs(oracle.float64({"hidden": hidden, "weight": weight}), labels)
    found = linear_log_probs(hidden, weight, labels, tile=4)
    for name, truth, of_dense in zip(NAMES, wanted, dense, strict=True):
        got = getattr(found, name)
        assert got.dtype == jnp.float32
        error = np.max(np.abs(got - truth))
        assert error <= np.max(np.abs(of_dense - truth)) + EPS * np.max(np.abs(truth)), name


def test_any_leading_dimensions_equal_the_flattened():
    case, rng = Case(12, 5, 37), np.random.default_rng(5)
    operands, labels = problems.head(rng, case), rng.integers(0, case.v, case.n)
    flat = linear_log_probs(labels=labels, tile=5, **operands)
    hidden = operands["hidden"].reshape(2, 6, 5)
    shaped = linear_log_probs(hidden, operands["weight"], labels.reshape(2, 6), tile=5)
    for a, b in zip(shaped, flat, strict=True):
        assert a.shape == (2, 6)
        np.testing.assert_array_equal(a.reshape(12), b)
