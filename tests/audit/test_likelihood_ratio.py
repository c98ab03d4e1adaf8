"""Likelihood ratios: the paper's formulas row by row, exact confidences, a null without leak."""

import mpmath
import numpy as np
import pytest
from scipy.stats import norm

from xentjax.audit.likelihood_ratio import (
    label_confidences,
    leave_one_out_scores,
    likelihood_ratio_scores,
    offline_scores,
)
from xentjax.audit.membership import membership_attack
from xentjax.audit.shadows import balanced_members


@pytest.mark.parametrize("scale", [1.0, 30.0, 900.0])
def test_confidences_keep_their_digits_at_every_margin(scale):
    rng = np.random.default_rng(0)
    logits = (scale * rng.normal(size=(2, 4, 5))).astype(np.float32)
    labels = rng.integers(0, 5, 4)
    mpmath.mp.dps = 1600  # 1 − p_y of a margin of 2000 nats has its first digit at the 870th place
    wanted = [
        [
            float(mpmath.log(p / (1 - p)))
            for row, label in zip(rows, labels, strict=True)
            for powers in [[mpmath.exp(mpmath.mpf(float(x))) for x in row]]
            for p in [powers[label] / sum(powers)]
        ]
        for rows in logits
    ]
    found = label_confidences(logits, labels)
    # Differences and a logarithm in float64: a few ulps of the largest number that enters.
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14 * scale)


@pytest.fixture
def shadows():
    rng = np.random.default_rng(1)
    members = balanced_members(12, 30, seed=2)
    return rng.normal(size=30), rng.normal(size=(12, 30)) + 2.0 * members, members


def test_the_ratio_is_the_papers_row_by_row(shadows):
    confidences, values, members = shadows
    wanted, offline = [], []
    for row in range(30):
        inside, outside = values[members[:, row], row], values[~members[:, row], row]
        gaussians = [norm(x.mean(), x.std(ddof=1)) for x in (inside, outside)]
        logs = [g.logpdf(confidences[row]) for g in gaussians]
        wanted.append(logs[0] - logs[1])
        offline.append(gaussians[1].cdf(confidences[row]))
    found = likelihood_ratio_scores(confidences, values, members, pooled=False)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    score = offline_scores(confidences, values, members, pooled=False)
    np.testing.assert_allclose(norm.cdf(score), offline, rtol=1e-10)


def test_few_shadows_share_one_variance_around_each_rows_own_mean(shadows):
    confidences, values, members = shadows
    values = values + 100 * np.arange(30)  # rows differ in level, which is no spread of models
    confidences = confidences + 100 * np.arange(30)
    parts = []
    for mask in (members, ~members):
        groups = [values[mask[:, row], row] for row in range(30)]
        sigma = np.sqrt(np.mean([group.var(ddof=1) for group in groups]))  # 6 of each
        parts.append(norm.logpdf(confidences, [group.mean() for group in groups], sigma))
    found = likelihood_ratio_scores(confidences, values, members)
    np.testing.assert_allclose(found, parts[0] - parts[1], rtol=1e-8, atol=1e-10)


def test_each_model_is_attacked_by_all_but_itself_and_its_complement(shadows):
    _, values, members = shadows
    found = leave_one_out_scores(values, members)
    for model in (0, 7):
        others = np.delete(np.arange(12), [model, model ^ 1])
        np.testing.assert_allclose(
            found[model], likelihood_ratio_scores(values[model], values[others], members[others])
        )


def test_balanced_halves_betray_nothing_where_there_is_nothing_to_find():
    """The null: confidences that know nothing of membership. Six models would show a leak most."""
    covered, aucs = 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        members = balanced_members(6, 60, seed=seed)
        values = rng.normal(size=60) + rng.normal(size=(6, 60))
        found = membership_attack(leave_one_out_scores(values, members), members)
        aucs.append(found.auc)
        covered += found.auc_low <= 0.5 <= found.auc_high
    # Unbiased: the mean of 200 within 3.3 of its standard errors.
    assert abs(np.mean(aucs) - 0.5) < 3.3 * np.std(aucs) / np.sqrt(200)
    # Binomial(200, 0.95), 3.3 standard deviations of 3.1 below its mean.
    assert covered >= 179


def test_a_row_that_only_members_shift_is_found(shadows):
    _, values, members = shadows
    found = membership_attack(leave_one_out_scores(values, members), members)
    # Two σ apart, known means: Φ(2 / √2) = 0.921, less what means of five values cost.
    assert found.auc_low > 0.85
    assert found.auc < 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: label_confidences(np.zeros((3, 1)), np.zeros(3, int)), "C of at least 2"),
        (lambda: label_confidences(np.zeros((3, 2)), np.array([0, 2, 0])), "got 2 at position 1"),
        (lambda: label_confidences(np.full((1, 2), np.nan), np.array([0])), "must be finite"),
        (
            lambda: likelihood_ratio_scores(np.zeros(2), np.zeros((4, 2)), np.ones((4, 2), bool)),
            "0 did not see it for row 0",
        ),
        (
            lambda: offline_scores(
                np.zeros(1), np.zeros((2, 1)), np.array([[True], [False]]), pooled=False
            ),
            "1 did not see it for row 0, wanted at least 2",
        ),
        (
            lambda: offline_scores(np.array([np.inf]), np.zeros((2, 1)), np.zeros((2, 1), bool)),
            "confidences must be finite",
        ),
        (
            lambda: leave_one_out_scores(np.zeros((4, 2)), np.ones((4, 3), bool)),
            r"members must be .* of shape \(4, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_labels_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="labels must be integer"):
        label_confidences(np.array([[1.0, 2.0]]), np.array([0.5]))
