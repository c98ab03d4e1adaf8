"""Public functions of the audit read lists, NumPy and JAX arrays alike, and refuse by name."""

import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from tests.audit.array_calls import CALLS, NO_ARRAYS, called, leaves
from xentjax import audit


def test_every_public_function_is_in_the_table():
    public = {name for name in audit.__all__ if inspect.isfunction(getattr(audit, name))}
    sections = {name for name in public if name.endswith("_section")}
    assert public - sections == CALLS.keys() | NO_ARRAYS
    assert not CALLS.keys() & NO_ARRAYS


# Much is compiled for them, and they read by the same functions as others that stay.
COMPILED = {
    "deletion_curve", "extract_verbatim", "fairness_gaps", "label_noise_curve",
    "out_of_fold_logits", "replacement_losses", "text_losses", "train_learning_curve",
    "train_private", "train_shadows", "two_sample_classifier",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in COMPILED else ()) for name in CALLS],
)
def test_lists_and_jax_arrays_give_what_numpy_gives(name):
    given = CALLS[name].given
    wanted = leaves(called(name))
    assert wanted
    for kind in (lambda x: x.tolist(), jnp.asarray):
        found = leaves(called(name, **{key: kind(values) for key, values in given.items()}))
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def first_changed(values, to):
    found = np.array(values, np.float64)
    found.reshape(-1)[0] = to
    return found


WHOLE = ("labels", "test_labels", "held_out_labels", "predictions")
# Arrays whose last axis is as long as another argument says.
TIED = (*WHOLE, "weights", "correct", "members", "shadow_members", "attributions", "hits", "b")
DAMAGES = {
    "empty": lambda x, _: x[:0],
    "another axis": lambda x, _: x[None],
    "a number": lambda *_: np.array(3.5),
    "NaN": lambda x, _: first_changed(x, np.nan),
    "names": lambda x, _: x.astype(str),
    "objects": lambda x, _: np.array([None] * len(x)),
    "ragged": lambda x, _: [*x.tolist()[1:], [1, [2, 3]]],
    "complex": lambda x, _: x + 1j,
    "whole floats": lambda x, _: x.astype(float) if x.dtype.kind == "i" else None,
    "0 and 1": lambda x, _: x.astype(int) if x.dtype == bool else None,
    "too short": lambda x, name: x[..., :-1] if name in TIED else None,
    "of no class": lambda x, name: np.full_like(x, 99) if name in WHOLE else None,
    "negative": lambda x, name: x - 1 if name in WHOLE else None,
}


def refusal(name, argument, values, blamed):
    """What a call with one bad argument ends in, if it is not an error that names one to blame."""
    try:
        return f"passed: {called(name, **{argument: values})}"
    except Exception as error:
        # Exactly these: an error of the annotations, checked in tests only, is one of nobody else.
        named = any(one in str(error) for one in blamed)
        return None if type(error) in (ValueError, TypeError) and named else repr(error)


@pytest.mark.parametrize("name", CALLS)
def test_bad_arrays_are_refused_by_name(name):
    entry = CALLS[name]
    passed = {}
    for argument, values in entry.given.items():
        for damage, harm in DAMAGES.items():
            bad = harm(values, argument)
            if bad is None or {damage, f"{argument}: {damage}"} & {*entry.allowed}:
                continue
            # Where two arrays do not fit each other, either may be named.
            mismatch = damage in ("empty", "another axis", "too short")
            blamed = entry.given if mismatch else (argument,)
            if (wrong := refusal(name, argument, bad, blamed)) is not None:
                passed[f"{argument}: {damage}"] = wrong
    assert not passed


def small_integers(values):
    return values.astype(np.uint8) if values.dtype.kind == "i" else values


def table(values):
    """As a column or a table of pandas, which Fairlearn, needed by other tests, brings along."""
    pandas = pytest.importorskip("pandas")
    return pandas.Series(values) if values.ndim == 1 else pandas.DataFrame(values)


@pytest.mark.parametrize(
    "kind", [table, lambda x: tuple(map(tuple, x)) if x.ndim == 2 else tuple(x), small_integers]
)
@pytest.mark.parametrize("name", ["find_label_errors", "group_rates", "set_coverage", "find_leaks"])
def test_tables_tuples_and_small_integers_are_read_too(name, kind):
    given = CALLS[name].given
    found = leaves(called(name, **{key: kind(values) for key, values in given.items()}))
    for one, other in zip(found, leaves(called(name)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_rows_of_names_are_not_called_different():
    ab = np.array([["".join("ab")], ["".join("ab")]], object)
    with pytest.raises(TypeError, match="features must hold real numbers, got object"):
        audit.exact_groups(ab)


@pytest.mark.parametrize("missing", [None, np.nan, np.datetime64("NaT")])
def test_a_missing_group_in_a_list_is_no_group_of_that_name(missing):
    with pytest.raises(ValueError, match="groups: row 1 has none"):
        audit.group_rates([0, 1], [0, 1], ["a", missing], classes=2)


def test_groups_of_numbers_are_in_the_order_of_numbers():
    for groups in ([10, 9], np.array([10, 9]), jnp.array([10, 9])):
        assert audit.group_rates([0, 1], [0, 1], groups, classes=2).groups == ("9", "10")


def test_integers_that_would_wrap_around_are_refused():
    with pytest.raises(ValueError, match="labels must be below 2⁶³"):
        audit.class_balance(np.array([2**63], np.uint64), 2)
