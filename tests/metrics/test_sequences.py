"""Token accuracy, exact match and edit distances against plain Python and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from tests.metrics.labelled import Agreement
from xentjax.metrics.levenshtein import edit_distance
from xentjax.metrics.sequences import ErrorRate, ExactMatch, TokenAccuracy


def levenshtein(a, b):
    """The whole table, cell by cell."""
    table = [[i + j if 0 in (i, j) else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (x != y)
            )
    return table[len(a)][len(b)]


def codes(text, length):
    return np.array([ord(letter) for letter in text.ljust(length, "~")])


def test_edit_distances_equal_the_whole_table(report_figure):
    rng, count = np.random.default_rng(0), 1000
    a, b = rng.integers(0, 3, (count, 9)), rng.integers(0, 3, (count, 7))
    b[::4] = a[::4, 1:8]
    a_lengths, b_lengths = rng.integers(0, 10, count), rng.integers(0, 8, count)
    a_lengths[:10], b_lengths[5:15] = 0, 0
    found = jax.jit(edit_distance)(a, b, a_lengths, b_lengths)
    truth = [
        levenshtein(x[:m], y[:n]) for x, y, m, n in zip(a, b, a_lengths, b_lengths, strict=True)
    ]
    np.testing.assert_array_equal(found, truth)
    assert found.dtype == jnp.int32
    report_figure(f"edit distance against the whole table: {count} cases, all equal")


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("kitten", "sitting", 3),
        ("sitting", "kitten", 3),
        ("saturday", "sunday", 3),
        ("flaw", "lawn", 2),
        ("", "abc", 3),
        ("abc", "", 3),
        ("", "", 0),
    ],
)
def test_known_distances(a, b, distance):
    assert edit_distance(codes(a, 8), codes(b, 8), len(a), len(b)) == distance


def test_error_rate_is_total_distance_over_total_reference():
    rate, pairs = ErrorRate(), [("kitten", "sitting"), ("saturday", "sunday"), ("same", "same")]
    update = jax.jit(rate.update)
    state = rate.init()
    for guess, reference in pairs:
        state = update(
            state, codes(guess, 8)[None], codes(reference, 8)[None],
            jnp.array([len(guess)]), jnp.array([len(reference)]),
        )  # fmt: skip
    np.testing.assert_allclose(rate.compute(state), (3 + 3 + 0) / (7 + 6 + 4), rtol=1e-6)
    assert np.isnan(rate.compute(rate.init()))
    # A length out of range counts nothing when masked and makes NaN when not.
    twice = [jnp.stack([codes(text, 8)] * 2) for text in pairs[0]]
    lengths = jnp.array([6, 99]), jnp.array([7, 7])
    masked = update(rate.init(), *twice, *lengths, where=jnp.array([True, False]))
    np.testing.assert_allclose(rate.compute(masked), 3 / 7, rtol=1e-6)
    assert np.isnan(rate.compute(update(rate.init(), *twice, *lengths)))
    weighted = update(rate.init(), *twice, jnp.array([6, 0]), lengths[1], weights=jnp.array([2, 1]))
    np.testing.assert_allclose(rate.compute(weighted), (2 * 3 + 7) / (2 * 7 + 7), rtol=1e-6)


def test_tokens_and_sequences_equal_scikit_learn(report_figure):
    rng, cases, n, t = np.random.default_rng(0), 200, 6, 5
    labels = rng.integers(0, 3, (cases, n, t))
    predictions = np.where(rng.random(labels.shape) < 0.8, labels, 2)
    where = rng.random(labels.shape) < 0.8
    where[:, 0] = False  # a sequence without tokens
    labels[~where] = -100
    weights = rng.random((cases, n)).astype(np.float32)
    ignored = TokenAccuracy(ignore_index=-100), ExactMatch(ignore_index=-100)
    plain = TokenAccuracy(), ExactMatch()

    def scores(predictions, labels, where, weights):
        by_token = weights[:, None]
        return [
            metric.compute(metric.update(metric.init(), predictions, labels, **mask, weights=share))
            for metrics, mask in ((ignored, {}), (plain, {"where": where}))
            for metric, share in zip(metrics, (by_token, weights), strict=True)
        ]

    found = np.stack(jax.jit(jax.vmap(scores))(predictions, labels, where, weights))
    agreement = Agreement()
    for i, keep in enumerate(where):
        right = (predictions[i] == labels[i]) | ~keep
        shares = np.broadcast_to(weights[i][:, None], keep.shape)[keep]
        token = sk.accuracy_score(labels[i][keep], predictions[i][keep], sample_weight=shares)
        some = keep.any(1)
        whole = np.average(right.all(1)[some], weights=weights[i][some])
        agreement.add(found[:, i], [token, whole, token, whole], i)
    report_figure(f"token accuracy and exact match: {agreement}")


def test_bad_input_is_refused_or_nan():
    tokens, match = TokenAccuracy(), ExactMatch()
    good = np.array([[1, 2], [3, 4]])
    with pytest.raises(
        ValueError, match=r"labels must lie in \[0, 2\*\*31 - 1\), got -100 at position \(1,"
    ):
        tokens.update(tokens.init(), good, np.array([[1, 2], [-100, 0]]))
    with pytest.raises(TypeError, match="predictions must be integer class indices, got float32"):
        tokens.update(tokens.init(), good.astype(np.float32), good)
    with pytest.raises(ValueError, match=r"predictions must have shape \(2, 2\) beside labels"):
        match.update(match.init(), good[:, :1], good)
    with pytest.raises(ValueError, match=r"ignore_index must lie in \[-2\*\*31, 2\*\*31\)"):
        ExactMatch(ignore_index=2**40)
    bad = jax.jit(match.update)(match.init(), good, jnp.array([[1, 2], [-100, 0]]))
    assert np.isnan(match.compute(bad))
    with pytest.raises(ValueError, match=r"a_lengths must lie in \[0, 3\), got 3 at position \(1,"):
        edit_distance(good, good, np.array([1, 3]))
    with pytest.raises(ValueError, match=r"b must have shape \(2, 3\) beside a of shape \(2, 2\)"):
        edit_distance(good, np.zeros((1, 3), int))
    with pytest.raises(TypeError, match="a must be integer tokens"):
        edit_distance(good.astype(np.float32), good)
    assert jax.jit(edit_distance)(good, good, np.array([2, 3])).tolist() == [0, -1]


def test_ids_beyond_32_bits_are_told_apart_or_refused():
    tokens = TokenAccuracy()
    for one, other in (
        (np.array([2**40, 5]), np.array([2**41, 5])),
        (np.array([2**31 + 1], np.uint32), np.array([2**31 + 2], np.uint32)),
    ):
        with pytest.raises(ValueError, match=r"predictions must lie in \[0, 2\*\*31 - 1\), got"):
            tokens.update(tokens.init(), one, other)
    found = jax.jit(tokens.update)(tokens.init(), jnp.uint32([2**31 + 1]), jnp.uint32([2**31 + 2]))
    assert np.isnan(tokens.compute(found))
    with pytest.raises(ValueError, match="a must fit int32, got tokens from 1 to 1099511627776"):
        edit_distance(np.array([2**40, 1]), np.array([2**41, 1]))
    assert edit_distance(np.array([2**31 + 1], np.uint32), np.array([2**31 + 2], np.uint32)) == 1
    assert edit_distance(np.array([3, -1]), np.array([3, -100])) == 1


@pytest.mark.usefixtures("x64")
def test_ids_of_64_bits_are_told_apart_in_double():
    assert edit_distance(np.array([2**40, 1]), np.array([2**41, 1])) == 1


def test_sequences_of_no_token_are_not_counted():
    match = ExactMatch()
    empty = np.zeros((3, 0), np.int32)
    for given in (empty, empty.astype(bool)):
        state = match.update(match.init(), given, given)
        assert np.isnan(match.compute(state))
