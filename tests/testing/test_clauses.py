"""Right losses keep every clause; each mutant, broken on purpose, breaks the clause it should."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.testing import CLAUSES, LossContractError, assert_loss_contract

_RNG = np.random.default_rng(3)
_LOGITS = _RNG.normal(size=(4, 3)).astype(np.float32)
_LABELS = np.array([2, 0, 1, 2], np.int32)
_EXAMPLE = (_LOGITS, _LABELS)


def _at_least_float32(x: Any) -> Any:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _reduced(losses: Any, where: Any, reduction: str, weights: Any = None) -> Any:
    if where is None and weights is None:
        return losses.mean() if reduction == "mean" else losses
    scale, where = (1.0 if weights is None else weights), (True if where is None else where)
    losses, scale = jnp.where(where, losses, 0) * scale, jnp.where(where, scale, 0)
    total = jnp.maximum(scale.sum(), 0.1)  # of nothing the mean is 0
    return losses.sum() / total if reduction == "mean" else losses


def _tailed(rows: Callable[..., Any], reduced: Callable[..., Any] = _reduced) -> Callable[..., Any]:
    """A loss with the usual tail, from a function of float32 logits and labels."""

    def loss(logits, labels, *, where=None, weights=None, reduction="none"):
        x = _at_least_float32(logits)
        if where is not None:
            x = jnp.where(where[..., None], x, 0)
        return reduced(rows(x, labels), where, reduction, weights)

    return loss


def _own(x: Any, labels: Any) -> Any:
    return jnp.take_along_axis(x, labels[..., None], axis=-1)[..., 0]


def _softmax_rows(x: Any, labels: Any) -> Any:
    return jax.nn.logsumexp(x, axis=-1) - _own(x, labels)


softmax = _tailed(_softmax_rows)


def sigmoid(logits, labels, *, where=None, weights=None, reduction="none"):
    x = _at_least_float32(logits)
    if where is not None:
        x = jnp.where(where, x, 0)
    return _reduced(jax.nn.softplus(x) - labels * x, where, reduction, weights)


# The mutants.


def in_the_dtype_of_the_logits(logits, labels, **options):
    return softmax(logits, labels, **options).astype(logits.dtype)


def summed_over_the_batch(logits, labels):
    return _softmax_rows(_at_least_float32(logits), labels).sum()


def _with_slope(factor: float) -> Callable[..., Any]:
    @jax.custom_jvp
    def rows(x, labels):
        return _softmax_rows(x, labels)

    @rows.defjvp
    def _(primals, tangents):
        x, labels = primals
        value, tangent = jax.jvp(lambda z: _softmax_rows(z, labels), (x,), (tangents[0],))
        return value, factor * tangent

    return _tailed(rows)


def _softplus_by_hand(x, labels):
    # Right everywhere but at 0, where both terms have slope 0 and softplus has ½.
    softplus = jnp.where(x > 0, x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))
    return _softmax_rows(x, labels) + softplus.sum(-1)


def _no_second_derivative(x, labels):
    # The right slope by a constant gradient: the Hessian is lost.
    p = jax.nn.softmax(jax.lax.stop_gradient(x)) - jax.nn.one_hot(labels, 3, dtype=x.dtype)
    linear = jnp.sum(p * x, -1)
    value = jax.lax.stop_gradient(_softmax_rows(x, labels))
    return value + linear - jax.lax.stop_gradient(linear)


def _another_value_when_traced(x, labels):
    return _softmax_rows(x, labels) + (1e-3 if isinstance(x, jax.core.Tracer) else 0.0)


def _rows_see_each_other(x, labels):
    losses = _softmax_rows(x, labels)
    return losses - 0.1 * losses.mean()


def _closed_to_forward_mode() -> Callable[..., Any]:
    @jax.custom_vjp
    def rows(x, labels):
        return _softmax_rows(x, labels)

    def forward(x, labels):
        return _softmax_rows(x, labels), (x, labels)

    def backward(saved, g):
        x, labels = saved
        p = jax.nn.softmax(x) - jax.nn.one_hot(labels, x.shape[-1], dtype=x.dtype)
        return g[..., None] * p, None

    rows.defvjp(forward, backward)
    return _tailed(rows)


def _root_at_ties(x, labels):
    # |x|^1.5 has slope 0 at 0 and no second derivative there.
    return _softmax_rows(x, labels) + (jnp.abs(x) ** 1.5).sum(-1)


def masked_by_multiplication(logits, labels, *, where=None, reduction="none"):
    losses = softmax(logits, labels)
    return _reduced(losses if where is None else losses * where, where, reduction)


def _mean_over_everything(losses, where, reduction, weights):
    losses = _reduced(losses, where, "none", weights)
    return losses.mean() if reduction == "mean" else losses


def _weights_only_in_the_mean(losses, where, reduction, weights):
    return _reduced(losses, where, reduction, None if reduction == "none" else weights)


def _weighted_sum_over_the_count(losses, where, reduction, weights):
    return _reduced(_reduced(losses, where, "none", weights), where, reduction)


def _exponentials_overflow(x, labels):
    return jnp.log(jnp.exp(x).sum(-1)) - _own(x, labels)


def _zero_times_infinity(x, labels):
    return -jnp.sum(jax.nn.one_hot(labels, x.shape[-1], dtype=x.dtype) * jax.nn.log_softmax(x), -1)


def computed_in_16_bits(logits, labels, *, where=None, reduction="none"):
    x = logits if where is None else jnp.where(where[..., None], logits, 0)
    return _reduced(_at_least_float32(_softmax_rows(x, labels)), where, reduction)


def exact_only_to_1e_4(logits, labels):
    losses = _softmax_rows(_at_least_float32(logits), labels)
    return losses * (1 + 1e-4 * (logits.dtype == jnp.float32))


def _changes_the_configuration() -> Callable[..., Any]:
    precisions = itertools.cycle(["float32", "highest"])

    def loss(logits, labels):
        jax.config.update("jax_default_matmul_precision", next(precisions))
        return softmax(logits, labels)

    return loss


def _rule_closes_over_labels(x, labels):
    @jax.custom_jvp
    def rows(z):
        return _softmax_rows(z, labels)

    @rows.defjvp
    def _(primals, tangents):
        (z,) = primals
        p = jax.nn.softmax(z) - jax.nn.one_hot(labels, z.shape[-1], dtype=z.dtype)
        return rows(z), jnp.sum(p * tangents[0], -1)

    return rows(x)


def _array_from_thin_air(x, labels):
    def add(_, total):
        return total + _softmax_rows(x, labels) / 2

    # The zeros do not vary over the mesh as x does, and the loop's carry must.
    return jax.lax.fori_loop(0, 2, add, jnp.zeros(x.shape[:-1], x.dtype))


_MUTANTS = [
    ("shapes_and_dtypes", in_the_dtype_of_the_logits),
    ("shapes_and_dtypes", summed_over_the_batch),
    ("gradient", _with_slope(1.01)),
    ("gradient", _with_slope(1 + 1e-6)),
    ("gradient", _tailed(_softplus_by_hand)),
    ("gradient", _tailed(_no_second_derivative)),
    ("jit_equals_eager", _tailed(_another_value_when_traced)),
    ("vmap_equals_loop", _tailed(_rows_see_each_other)),
    ("jvp_equals_vjp", _closed_to_forward_mode()),
    ("hessian_finite", _tailed(_root_at_ties)),
    ("masked_equals_sliced", masked_by_multiplication),
    ("masked_mean", _tailed(_softmax_rows, _mean_over_everything)),
    ("weights", _tailed(_softmax_rows, _weights_only_in_the_mean)),
    ("weighted_mean", _tailed(_softmax_rows, _weighted_sum_over_the_count)),
    ("finite_at_extremes", _tailed(_exponentials_overflow)),
    ("masked_class", _tailed(_zero_times_infinity)),
    ("low_precision", computed_in_16_bits),
    ("transforms", _tailed(_rule_closes_over_labels)),
    ("sharded_equals_single", _tailed(jax.jit(_array_from_thin_air))),
]


@pytest.fixture
def _same_configuration_afterwards():
    before = jax.config.jax_default_matmul_precision
    yield
    jax.config.update("jax_default_matmul_precision", before)


def test_every_clause_has_a_mutant():
    assert {clause for clause, _ in _MUTANTS} | {"traced_once"} == set(CLAUSES)


@pytest.mark.parametrize(("clause", "mutant"), _MUTANTS)
def test_a_mutant_breaks_its_clause(clause, mutant):
    with pytest.raises(LossContractError, match=clause) as caught:
        assert_loss_contract(mutant, _EXAMPLE, clauses=(clause,))
    assert caught.value.clause == clause


# All the clauses before the broken one are examined too.
@pytest.mark.slow
@pytest.mark.parametrize(("clause", "mutant"), _MUTANTS)
def test_a_mutant_breaks_its_clause_and_none_before_it(clause, mutant):
    with pytest.raises(LossContractError, match=clause) as caught:
        assert_loss_contract(mutant, _EXAMPLE)
    assert caught.value.clause == clause


@pytest.mark.usefixtures("_same_configuration_afterwards")
def test_a_loss_that_changes_the_configuration_breaks_traced_once():
    # On its own, for every clause before it would be traced again and again as well.
    with pytest.raises(LossContractError, match="traces in three calls") as caught:
        assert_loss_contract(_changes_the_configuration(), _EXAMPLE, clauses=("traced_once",))
    assert caught.value.clause == "traced_once"
    assert caught.value.got != "1"


@pytest.mark.slow
def test_a_right_softmax_loss_keeps_every_clause():
    assert assert_loss_contract(softmax, _EXAMPLE).passed == CLAUSES


@pytest.mark.slow
def test_a_right_elementwise_loss_keeps_every_clause_but_the_one_about_classes():
    labels = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], bool)
    report = assert_loss_contract(sigmoid, (_LOGITS, labels), event_dims=0)
    assert report.left_out == {"masked_class": "an elementwise loss has no class axis"}


def test_a_slope_right_to_one_part_in_1e9_is_right():
    # The other side of the 1 + 1e-6 mutant: the clause promises 1e-7.
    report = assert_loss_contract(_with_slope(1 + 1e-9), _EXAMPLE, clauses=("gradient",))
    assert report.passed == ("gradient",)


def test_a_float32_error_of_1e_4_is_found():
    with pytest.raises(LossContractError, match="against float64 on the same logits"):
        assert_loss_contract(exact_only_to_1e_4, _EXAMPLE, clauses=("low_precision",))


@pytest.mark.slow
def test_masks_of_single_tokens_are_examined():
    def first_token_decides(logits, labels, *, where=None):
        return softmax(logits, labels, where=None if where is None else where[:, :1])

    tokens = np.stack([_LOGITS, -_LOGITS]), np.stack([_LABELS, _LABELS])
    masks = ("masked_equals_sliced",)
    assert assert_loss_contract(softmax, tokens, clauses=masks).passed == masks
    with pytest.raises(LossContractError, match="scattered mask"):
        assert_loss_contract(first_token_decides, tokens, clauses=masks)


def _soft(logits, mass):
    log_q = jax.nn.log_softmax(_at_least_float32(logits))
    mass = mass.astype(log_q.dtype)
    # 0 · log 0 = 0: both factors are hidden where the mass is 0.
    return -jnp.sum(jnp.where(mass == 0, 0, mass * jnp.where(mass == 0, 0, log_q)), -1)


def _matched(logits, other_logits):
    return _soft(logits, jax.nn.softmax(other_logits))


@pytest.mark.parametrize(("loss", "row"), [(_soft, [0.2, 0.5, 0.3]), (_matched, [-1.0, 0.5, 2.0])])
def test_a_masked_class_takes_its_mass_or_its_other_logit_along(loss, row):
    # Were either left behind, the right answer would be infinite.
    example = (_LOGITS, np.array([row] * 4))
    report = assert_loss_contract(loss, example, clauses=("masked_class",))
    assert report.passed == ("masked_class",)
