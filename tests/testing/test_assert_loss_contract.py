"""How the contract is called, and how it answers: reports, messages and misuse."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.testing import CLAUSES, LossContractError, assert_loss_contract
from xentjax.testing.rounding import rounding

_LOGITS = np.linspace(-1, 2, 6, dtype=np.float32).reshape(2, 3)
_LABELS = np.array([2, 0])
_CHEAP = ("shapes_and_dtypes", "masked_equals_sliced", "masked_mean", "sharded_equals_single")


def _masked(logits, labels, *, where=None):
    losses = _plain(logits if where is None else jnp.where(where[:, None], logits, 0), labels)
    return losses if where is None else jnp.where(where, losses, 0)


def _plain(logits, labels):
    x = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=-1)[:, 0]


def test_a_clause_that_does_not_apply_is_left_out_with_its_reason():
    report = assert_loss_contract(
        _plain, (_LOGITS, _LABELS), clauses=_CHEAP, devices=jax.devices()[:1]
    )
    assert report.passed == ("shapes_and_dtypes",)
    assert report.left_out["masked_equals_sliced"] == "the loss takes no `where`"
    assert report.left_out["masked_mean"] == "the loss takes no `reduction` and no `where`"
    assert "1 device(s) cannot share 2" in report.left_out["sharded_equals_single"]
    assert report.left_out["gradient"] == "not asked for"


def test_a_report_has_a_row_for_every_clause_in_order():
    rows = str(assert_loss_contract(_plain, (_LOGITS, _LABELS), clauses=_CHEAP[:1])).splitlines()
    assert tuple(row.split()[0] for row in rows) == CLAUSES
    assert rows[0].split() == ["shapes_and_dtypes", "kept"]
    assert rows[1].endswith("left out: not asked for")


def test_the_caller_may_leave_out_a_clause_with_a_reason():
    reason = {"shapes_and_dtypes": "returns a sum on purpose"}
    report = assert_loss_contract(
        lambda x, y: _plain(x, y).sum(), (_LOGITS, _LABELS), clauses=_CHEAP[:1], leave_out=reason
    )
    assert report.left_out["shapes_and_dtypes"] == "returns a sum on purpose"


@pytest.mark.parametrize(
    ("loss", "keywords", "reason"),
    [
        (lambda x, y: _plain(x, y), None, "the loss takes no `reduction` and no `where`"),
        (_masked, None, "the loss takes no `reduction`"),
        (_masked, (), "the loss takes no `reduction` and no `where`"),
        (
            lambda x, y, **options: _masked(x, y, **options),
            ("where",),
            "the loss takes no `reduction`",
        ),
    ],
    ids=["no tail", "where in the signature", "where denied", "options and keywords"],
)
def test_the_keywords_of_a_loss_are_read_or_told(loss, keywords, reason):
    report = assert_loss_contract(
        loss, (_LOGITS, _LABELS), keywords=keywords, clauses=("masked_mean",)
    )
    assert report.left_out["masked_mean"] == reason


def test_options_in_the_signature_count_as_the_whole_tail():
    with pytest.raises(LossContractError, match="unexpected keyword argument 'reduction'"):
        assert_loss_contract(
            lambda x, y, **options: _masked(x, y, **options),
            (_LOGITS, _LABELS),
            clauses=("masked_mean",),
        )


def test_a_breach_says_clause_input_got_and_wanted():
    def upside_down(logits, labels):
        return _plain(logits, labels).astype(logits.dtype)

    with pytest.raises(LossContractError) as caught:
        assert_loss_contract(upside_down, (_LOGITS, _LABELS))
    breach = caught.value
    assert isinstance(breach, AssertionError)
    assert str(breach).splitlines() == [
        "the loss breaks clause 'shapes_and_dtypes': the dtype of the losses",
        "  at      the example inputs: (bfloat16[2, 3] with finite |x| ≤ 2, int64[2])",
        "  got     bfloat16",
        "  wanted  float32",
        "  try     compute in float32: "
        "logits.astype(jnp.promote_types(logits.dtype, jnp.float32)); or pass "
        'leave_out={"shapes_and_dtypes": "why", "low_precision": "why"}',
    ]
    assert str(pickle.loads(pickle.dumps(breach))) == str(breach)


def test_a_loss_in_the_dtype_of_the_logits_passes_as_its_message_says():
    # bfloat16 keeps three digits, so the clause about precision goes with the one about dtypes.
    report = assert_loss_contract(
        lambda x, y: _plain(x, y).astype(x.dtype),
        (_LOGITS, _LABELS),
        clauses=("shapes_and_dtypes", "low_precision", "jit_equals_eager"),
        leave_out={"shapes_and_dtypes": "why", "low_precision": "why"},
    )
    assert report.passed == ("jit_equals_eager",)


@pytest.mark.parametrize(
    ("loss", "advice"),
    [
        (lambda x, y: jnp.square(x - y), "pass event_dims=0 for an elementwise loss"),
        (lambda x, y: jnp.square(x - y).sum(), "return one loss an example"),
        (lambda x, y: jnp.square(x - y).sum(0), None),
    ],
    ids=["elementwise", "a scalar", "some other shape"],
)
def test_a_shape_that_is_off_comes_with_the_remedy_where_one_is_known(loss, advice):
    with pytest.raises(LossContractError) as caught:
        assert_loss_contract(loss, (np.ones((4, 5), np.float32), np.zeros((4, 5), np.float32)))
    assert "(4,)" in caught.value.wanted
    assert caught.value.remedy is None if advice is None else advice in str(caught.value)


def test_event_dims_are_counted_for_sequences_too():
    x = np.ones((2, 3, 4), np.float32)
    with pytest.raises(LossContractError, match="pass event_dims=1, the trailing axes"):
        assert_loss_contract(lambda x: x.sum(-1), (x,), event_dims=2)


def test_an_exception_of_the_loss_is_a_breach_with_its_cause():
    def branches_on_a_value(logits, labels):
        return _plain(logits, labels) if logits[0, 0] < 0 else _plain(-logits, labels)

    with pytest.raises(LossContractError, match="TracerBoolConversionError") as caught:
        assert_loss_contract(branches_on_a_value, (_LOGITS, _LABELS))
    assert isinstance(caught.value.__cause__, jax.errors.TracerBoolConversionError)


def test_a_different_seed_tries_different_directions():
    def breach(seed):
        with pytest.raises(LossContractError) as caught:
            assert_loss_contract(
                lambda x, y: _plain(jax.lax.stop_gradient(x), y) + 0 * x.sum(-1),
                (_LOGITS, _LABELS),
                clauses=("gradient",),
                seed=seed,
            )
        return str(caught.value)

    assert breach(0) == breach(0)
    assert breach(0) != breach(1)


@pytest.mark.parametrize(
    ("example", "options", "error", "says"),
    [
        ([_LOGITS, _LABELS], {}, TypeError, "must be a tuple of arrays.*got list"),
        (_LOGITS, {}, TypeError, r"write \(logits,\) for a single input"),
        ((), {}, TypeError, "must be a tuple of arrays.*got an empty tuple"),
        ((_LABELS, _LABELS), {"event_dims": 0}, TypeError, r"example_inputs\[0\].*floating point"),
        ((_LOGITS, _LABELS), {"argnums": (1,)}, TypeError, r"example_inputs\[1\].*int64"),
        ((_LOGITS, _LABELS), {"argnums": (2,)}, ValueError, "argnums must be positions"),
        ((_LOGITS, _LABELS), {"argnums": ()}, ValueError, "argnums must be positions"),
        ((_LOGITS * np.nan, _LABELS), {}, ValueError, r"example_inputs\[0\] must be finite"),
        ((_LOGITS, _LABELS), {"event_dims": 2}, ValueError, "event_dims must leave a batch axis"),
        ((_LOGITS[:1], _LABELS[:1]), {}, ValueError, "two examples or more"),
        ((_LOGITS, _LABELS[:1]), {}, ValueError, r"example_inputs\[1\] has shape \(1,\)"),
        ((_LOGITS, _LABELS), {"clauses": ("gradients",)}, ValueError, "did you mean 'gradient'"),
        ((_LOGITS, _LABELS), {"leave_out": {"jit": "x"}}, ValueError, "leave_out names an unknown"),
    ],
)
def test_misuse_is_refused_with_a_reason(example, options, error, says):
    with pytest.raises(error, match=says):
        assert_loss_contract(_plain, example, **options)


def _refusing_bad_labels(logits, labels):
    if (labels < 0).any():
        raise ValueError("labels out of range")
    return _plain(logits, labels)


def test_a_label_the_loss_cannot_take_is_misuse_and_named():
    # take_along_axis fills what is out of range with NaN.
    logits, labels = np.tile(_LOGITS, (2, 1))[:3], np.array([0, 1, -100])
    with pytest.raises(ValueError, match=r"not finite on the example inputs: example 2; .*valid"):
        assert_loss_contract(_plain, (logits, labels))


def test_an_example_of_a_sequence_is_named_by_all_its_axes():
    labels = np.array([[0, 1], [-100, 2]])
    logits = np.zeros((2, 2, 3), np.float32)
    with pytest.raises(ValueError, match=r"example \(1, 0\)"):
        assert_loss_contract(lambda x, y: jax.vmap(_plain)(x, y), (logits, labels))


def test_an_example_the_loss_refuses_is_misuse_with_its_cause():
    labels = np.array([0, -100])
    with pytest.raises(ValueError, match="raises on the example inputs: ValueError: labels") as got:
        assert_loss_contract(_refusing_bad_labels, (_LOGITS, labels))
    assert isinstance(got.value.__cause__, ValueError)


def test_the_tolerance_follows_from_dtype_terms_and_scale():
    # 4 · 2⁻²³ · √9 · (1 + 3) · 2, by hand.
    assert rounding(np.float32, 9, 3.0, np.array([-2.0, np.inf])) == 96 * 2.0**-23
    assert rounding(np.float64, 1, 0.0, np.array([0.5])) == 4 * 2.0**-52
