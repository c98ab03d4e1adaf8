"""Group rates and gaps are fairlearn's, a planted gap is found, and shuffled groups show none."""

import numpy as np
import pytest
from scipy import stats

from xentjax.audit.fairness import fairness_gaps
from xentjax.audit.groups import group_rates

GAPS = {
    "demographic_parity_difference": {},
    "demographic_parity_ratio": {},
    "equalized_odds_difference": {},
    "equal_opportunity_difference": {},
}


def make_rows(n=300, *, seed=0, groups=("north", "south", "west")):
    rng = np.random.default_rng(seed)
    names = rng.choice(groups, n)
    labels = rng.integers(0, 2, n)
    flip = rng.random(n) < np.where(names == groups[0], 0.3, 0.1)
    return np.where(flip, 1 - labels, labels), labels, names


def values(gaps):
    return {name: gap.found.value for name, gap in vars(gaps).items()}


@pytest.mark.parametrize("weighted", [False, True])
def test_rates_and_gaps_are_those_of_fairlearn(weighted):
    metrics = pytest.importorskip("fairlearn.metrics", reason="the oracle of fairness metrics")
    from sklearn.metrics import accuracy_score, precision_score

    predictions, labels, names = make_rows()
    weights = np.random.default_rng(1).random(300).astype(np.float32) if weighted else None
    given = {"sensitive_features": names}
    scores = {
        "accuracy": accuracy_score,
        "selection": metrics.selection_rate,
        "recall": metrics.true_positive_rate,
        "false_positive": metrics.false_positive_rate,
        "precision": precision_score,
    }
    options = {name: {"sample_weight": weights} for name in scores}
    frame = metrics.MetricFrame(
        metrics=scores, y_true=labels, y_pred=predictions, sample_params=options, **given
    )
    ours = group_rates(predictions, labels, names, classes=2, weights=weights)
    assert list(ours.groups) == list(frame.by_group.index)
    for name in scores:
        rate = getattr(ours, name).value
        rate = rate if name == "accuracy" else rate[:, 1]
        # Shares of float32 counts: a few roundings of 6e-8 each.
        np.testing.assert_allclose(rate, frame.by_group[name], atol=1e-6)
    gaps = fairness_gaps(
        predictions, labels, names, classes=2, positive=1, weights=weights, resamples=20
    )
    for name in GAPS:
        wanted = getattr(metrics, name)(labels, predictions, sample_weight=weights, **given)
        assert values(gaps)[name] == pytest.approx(wanted, abs=1e-6)
    found = values(gaps)
    assert found["accuracy_difference"] == pytest.approx(frame.difference()["accuracy"], abs=1e-6)
    assert found["worst_accuracy"] == pytest.approx(frame.group_min()["accuracy"], abs=1e-6)
    behind = frame.overall["accuracy"] - frame.group_min()["accuracy"]
    assert found["worst_accuracy_gap"] == pytest.approx(behind, abs=1e-6)


@pytest.mark.slow
def test_a_class_of_many_is_judged_as_that_class_against_the_rest():
    metrics = pytest.importorskip("fairlearn.metrics", reason="the oracle of fairness metrics")
    rng = np.random.default_rng(3)
    labels, predictions = rng.integers(0, 3, (2, 200))
    names = rng.integers(0, 4, 200)
    each = []
    for positive in range(3):
        binary = labels == positive, predictions == positive
        wanted = {
            name: getattr(metrics, name)(*(x.astype(int) for x in binary), sensitive_features=names)
            for name in GAPS
        }
        found = values(
            fairness_gaps(predictions, labels, names, classes=3, positive=positive, resamples=20)
        )
        for name in GAPS:
            assert found[name] == pytest.approx(wanted[name], abs=1e-6)
        each.append(wanted)
    macro = values(fairness_gaps(predictions, labels, names, classes=3, resamples=20))
    for name in GAPS:
        assert macro[name] == pytest.approx(np.mean([w[name] for w in each]), abs=1e-6)


def test_a_group_without_positives_is_left_out_and_not_counted_as_never_found():
    metrics = pytest.importorskip("fairlearn.metrics", reason="the oracle of fairness metrics")
    predictions, labels, names = make_rows(400)
    labels = np.where(names == "west", 0, labels)
    rates = group_rates(predictions, labels, names, classes=2)
    assert np.isnan(rates.recall.value[2, 1])
    assert np.isnan(rates.recall.low[2, 1])
    found = values(fairness_gaps(predictions, labels, names, classes=2, positive=1, resamples=20))
    others = names != "west"
    wanted = metrics.equal_opportunity_difference(
        labels[others], predictions[others], sensitive_features=names[others]
    )
    assert found["equal_opportunity_difference"] == pytest.approx(wanted, abs=1e-6)
    # fairlearn's own convention, which this departs from: 0 of 0 found is a recall of 0.
    theirs = metrics.equal_opportunity_difference(labels, predictions, sensitive_features=names)
    assert theirs > 0.5 > wanted


def test_intervals_of_rates_are_wilsons():
    predictions, labels, names = make_rows()
    rates = group_rates(predictions, labels, names, classes=2)
    for i, name in enumerate(rates.groups):
        rows = (names == name) & (labels == 1)
        hits = int(np.sum(predictions[rows] == 1))
        wanted = stats.binomtest(hits, int(rows.sum())).proportion_ci(method="wilson")
        # Wilson's ends in float32 from a rate that was rounded: some 1e-7 relative.
        assert rates.recall.low[i, 1] == pytest.approx(wanted.low, abs=2e-6)
        assert rates.recall.high[i, 1] == pytest.approx(wanted.high, abs=2e-6)


def test_equal_weights_change_no_interval_and_unequal_ones_widen_it():
    predictions, labels, names = make_rows()
    plain, same, spread = (
        group_rates(predictions, labels, names, classes=2, weights=weights).accuracy
        for weights in (None, np.full(300, 7.0), np.random.default_rng(0).exponential(size=300))
    )
    np.testing.assert_allclose(plain.low, same.low, atol=1e-6)
    assert np.all(spread.high - spread.low > plain.high - plain.low)


def test_integer_names_and_any_order_of_rows_give_the_same():
    predictions, labels, names = make_rows()
    order = np.random.default_rng(0).permutation(300)
    numbers = np.unique(names, return_inverse=True)[1]
    first, second = (
        values(fairness_gaps(*rows, classes=2, positive=1, resamples=20))
        for rows in (
            (predictions, labels, names),
            (predictions[order], labels[order], numbers[order]),
        )
    )
    assert first == pytest.approx(second, abs=1e-6)


def test_groups_that_do_not_differ_show_chance_as_often_as_promised():
    # 40 data sets without a difference. P(p ≤ 0.05) ≤ 0.05 each: more than 8 of them are rarer than
    # one in a thousand.
    assert stats.binom.sf(8, 40, 0.05) < 1e-3
    rng = np.random.default_rng(0)
    small, above_zero = 0, 0
    for seed in range(40):
        labels = rng.integers(0, 2, 200)
        predictions = np.where(rng.random(200) < 0.15, 1 - labels, labels)
        # Groups differ in their mix of classes, which equalized odds must not mistake for bias.
        names = (rng.random(200) < np.where(labels == 1, 0.7, 0.3)).astype(int)
        gaps = fairness_gaps(
            predictions, labels, names, classes=2, positive=1, resamples=100, seed=seed
        )
        small += gaps.equalized_odds_difference.p_value <= 0.05
        above_zero += gaps.equalized_odds_difference.found.low > 0
    assert small <= 8
    assert above_zero <= small


def test_a_planted_gap_is_found_within_its_interval():
    rng = np.random.default_rng(5)
    labels = np.ones(600, np.int64)
    names = np.repeat(["a", "b", "c"], 200)
    recall = np.where(names == "b", 0.6, 0.9)
    gaps = fairness_gaps(
        (rng.random(600) < recall).astype(int), labels, names, classes=2, positive=1
    )
    gap = gaps.equal_opportunity_difference
    assert gap.p_value < 0.01
    assert gap.chance < gap.found.value
    # Sampling error of one difference is √(0.6·0.4/200 + 0.9·0.1/200) = 0.041; three of them.
    assert abs(gap.found.value - 0.3) < 3 * 0.041 + 0.03
    assert gap.found.low <= 0.3 <= gap.found.high
    assert gaps.worst_accuracy.p_value < 0.01
    assert gaps.worst_accuracy.found.high < 0.75
    # Nobody is of class 0: false positives of class 1 do not exist.
    assert np.isnan(gaps.false_positive_difference.found.value)
    assert np.isnan(gaps.equalized_odds_difference.p_value)


def test_p_value_is_that_of_the_exact_permutation_test():
    # Two groups of three rows of one class: all 20 ways to share three hits. The observed gap,
    # 3 of 3 against 0 of 3, comes in 2 of 20.
    gaps = fairness_gaps(
        np.array([1, 1, 1, 0, 0, 0]),
        np.ones(6, int),
        np.array(list("aaabbb")),
        classes=2,
        positive=1,
        resamples=2000,
    )
    for gap in (gaps.equal_opportunity_difference, gaps.accuracy_difference):
        # Four standard deviations of a share of 0.1 among 2000 draws: 4 · 0.0067.
        assert abs(gap.p_value - 0.1) < 0.027
        assert gap.found.low == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": np.array(["a"] * 4)}, "groups must be at least two"),
        ({"groups": np.array(["a", None, "b", "b"], object)}, "groups: row 1 has none"),
        ({"groups": np.array(["a", "b"])}, "groups must be"),
        ({"positive": 2}, "positive must be a class"),
        ({"resamples": 5}, "resamples must be at least 20"),
        ({"labels": np.array([0, 1, 2, 0])}, "labels"),
        ({"weights": np.array([1.0, -1.0, 1.0, 1.0])}, "weights"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {
        "predictions": np.array([0, 1, 1, 0]),
        "labels": np.array([0, 1, 0, 1]),
        "groups": np.array(["a", "a", "b", "b"]),
        "classes": 2,
    } | change
    with pytest.raises(ValueError, match=message):
        fairness_gaps(**given)
