"""Scores are their formulas; the attack finds what differs and nothing where nothing does."""

import zlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from xentjax.audit.text_membership import (
    mean_log_probability,
    membership_auc,
    membership_scores,
    min_k_probability,
    zlib_ratio,
)

RNG = np.random.default_rng(0)
LOSSES = RNG.gamma(2.0, size=(12, 30))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.2, 0.5, 1.0])
def test_min_k_is_the_mean_of_the_dearest(share):
    kept = max(1, int(share * 30))
    wanted = [-sum(sorted(row, reverse=True)[:kept]) / kept for row in LOSSES.tolist()]
    np.testing.assert_allclose(min_k_probability(LOSSES, share=share), wanted, atol=1e-12)


def test_all_tokens_are_the_mean():
    np.testing.assert_allclose(min_k_probability(LOSSES, share=1.0), mean_log_probability(LOSSES))


def test_zlib_sets_off_what_a_compressor_finds_easy():
    texts = [b"a" * 300, RNG.bytes(300)]
    scores = zlib_ratio(np.ones((2, 300)), texts)
    np.testing.assert_allclose(scores, [-300 / len(zlib.compress(t, 9)) for t in texts])
    assert scores[0] < scores[1]


def test_auc_is_that_of_scikit_learn():
    members, others = RNG.normal(0.5, size=40), RNG.normal(size=40)
    found = membership_auc(members, others, seed=0)
    wanted = roc_auc_score([1] * 40 + [0] * 40, np.concatenate([members, others]))
    assert found.auc == pytest.approx(wanted, abs=1e-6)
    assert found.low < found.auc < found.high
    assert found.passages == 40


def test_scores_that_float32_would_round_together_are_told_apart():
    scores = 1e4 + 1e-5 * np.arange(16)
    found = membership_auc(scores[8:], scores[:8], seed=0)
    assert found.auc == 1
    # All resamples are perfect too: Wilson for 8 of 8 pairs, n / (n + z²).
    assert found.low == pytest.approx(8 / 11.8415, abs=1e-4)
    assert found.high == 1


def test_no_difference_is_covered_as_often_as_promised():
    rng = np.random.default_rng(3)
    covered = 0
    for seed in range(100):
        found = membership_auc(rng.normal(size=40), rng.normal(size=40), seed=seed)
        covered += found.low <= 0.5 <= found.high
    # The percentile bootstrap of 40 covers about 0.93; Binomial(100, 0.93) is below 83 with
    # probability 1e-3.
    assert covered >= 83


def test_planted_membership_is_found():
    found = membership_auc(RNG.normal(2.0, size=40), RNG.normal(size=40), seed=0)
    assert found.low > 0.8


def test_all_scores_have_a_name_and_the_direction_of_a_member():
    texts = [RNG.bytes(30) for _ in range(12)]
    cheap, dear = membership_scores(LOSSES / 4, texts), membership_scores(LOSSES, texts)
    for name, scores in cheap.items():
        assert (scores > dear[name]).all()


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: membership_auc(np.zeros(8), np.zeros(9), seed=0), "others must be"),
        (lambda: membership_auc(np.zeros(7), np.zeros(7), seed=0), "at least 8"),
        (lambda: membership_auc(np.full(8, np.inf), np.zeros(8), seed=0), "finite"),
        (lambda: min_k_probability(LOSSES, share=0.0), "share must"),
        (lambda: zlib_ratio(LOSSES, [b""]), "as many as losses"),
        (lambda: mean_log_probability(np.full((1, 2), np.nan)), "losses must be numbers"),
    ],
)
def test_bad_input_is_named(call, wanted):
    with pytest.raises(ValueError, match=wanted):
        call()
