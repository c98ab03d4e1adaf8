"""Exposure is the rank of a secret: exact in small spaces, fair by sample, chance for the null."""

import numpy as np
import pytest
from scipy import stats

from tests.audit.overfit_gpt import learn_by_heart, make_gpt, random_sentences
from xentjax.audit.canaries import CHANCE_BITS, canary_exposure, exposure_of_losses
from xentjax.data import ByteTokenizer
from xentjax.data.canaries import CanaryFormat, plant_canaries

FORM = CanaryFormat("key ", length=5)
TOKENIZER = ByteTokenizer()


def test_of_all_alternatives_exposure_is_the_formula():
    losses = np.random.default_rng(0).permutation(1000).astype(float)
    found = exposure_of_losses(losses[:50], losses, space=1000)
    ranks = stats.rankdata(losses)[:50]
    np.testing.assert_allclose(found.bits, np.log2(1000) - np.log2(ranks), atol=1e-12)
    assert found.exhaustive
    np.testing.assert_array_equal(found.low, found.high)


def test_a_model_without_preference_exposes_nothing():
    found = exposure_of_losses(np.ones(3), np.ones(64), space=64)
    np.testing.assert_array_equal(found.bits, 0)
    sampled = exposure_of_losses(np.ones(3), np.ones(64), space=10**9)
    np.testing.assert_allclose(sampled.bits, 0)


def test_the_cheapest_of_all_is_bounded_from_below_by_the_sample():
    found = exposure_of_losses(np.array([0.0]), np.ones(1023), space=2**30)
    assert found.bits[0] == pytest.approx(10)  # log2 1024
    # Where 1 − 0.025^(1/1023) or more of them were cheaper, none would be drawn once in 40.
    assert found.low[0] == pytest.approx(-np.log2(1 - 0.025 ** (1 / 1023)), abs=1e-9)
    assert found.high[0] == pytest.approx(30)


def test_intervals_hold_the_exposure_of_every_rank_and_not_only_on_average():
    drawn, space = 600, 10**6
    counts = np.arange(31)
    # An alternative that is no dearer costs 0: the k-th canary has k of them in the sample.
    alternatives = np.arange(drawn, dtype=float)
    found = exposure_of_losses(counts - 0.5, alternatives, space=space)
    assert ((found.low <= found.bits) & (found.bits <= found.high)).all()
    for rank in (1, 100, 270, 290, 500, 3000, 10000):
        truth = np.log2(space / rank)
        held = (found.low - 1e-9 <= truth) & (truth <= found.high + 1e-9)
        # Of ranks so low more than 30 are drawn with probability below 1e-12.
        chance = stats.binom.pmf(counts, drawn, rank / space)[held].sum()
        # Wilson's interval holds rank 270 with probability 0.85.
        assert chance >= 0.95


def test_sampled_intervals_cover_the_exact_exposure():
    rng = np.random.default_rng(1)
    space = 2**14
    losses = rng.normal(size=space)
    ranks = np.array([3, 40, 500, 5000])
    canaries = np.sort(losses)[ranks - 1]
    truth = np.log2(space) - np.log2(ranks)
    draws = [exposure_of_losses(canaries, rng.choice(losses, 600), space=space) for _ in range(300)]
    for k in range(len(ranks)):
        covered = sum(d.low[k] - 1e-6 <= truth[k] <= d.high[k] + 1e-6 for d in draws)
        # Binomial(300, 0.95) is below 269 with probability 1e-4.
        assert covered >= 269


@pytest.fixture(scope="module")
def untrained():
    return make_gpt(256)


def test_secrets_never_planted_have_exposures_of_chance(untrained):
    rng = np.random.default_rng(2)
    never = FORM.draw(150, rng)
    found = canary_exposure(
        untrained, TOKENIZER, never, block=32, form=FORM, alternatives=600, batch_size=750
    )
    assert not found.exhaustive
    # Both are draws from the same losses: 1e-3 of the seeds would fail.
    assert stats.ks_2samp(found.losses, found.alternatives).pvalue > 1e-3
    # −log2 of a uniform has standard deviation 1/ln 2: four standard errors of 150.
    assert found.bits.mean() == pytest.approx(CHANCE_BITS, abs=4 * CHANCE_BITS / np.sqrt(150))
    # P(exposure ≥ 1 bit) = 1/2; Binomial(150, 1/2) leaves [51, 99] with probability 1e-4.
    assert 51 <= (found.bits >= 1).sum() <= 99


def test_small_spaces_are_ranked_whole_and_a_canary_beats_itself_never(untrained):
    form = CanaryFormat("k", "01", 6)
    everyone = [form.spell(number) for number in range(64)]
    found = canary_exposure(untrained, TOKENIZER, everyone, block=32, form=form)
    assert found.exhaustive
    ranks = stats.rankdata(found.alternatives, method="max")
    np.testing.assert_allclose(found.bits, 6 - np.log2(ranks), atol=1e-12)


def test_a_model_that_learned_the_text_by_heart_exposes_what_was_planted_often():
    text = random_sentences(40, seed=0)
    planted = plant_canaries(text, copies=[20, 20], form=FORM, seed=5)
    tokens = TOKENIZER.encode(planted.text).astype(np.int32)
    model = learn_by_heart(make_gpt(256), tokens, steps=400)
    never = FORM.draw(30, np.random.default_rng(9))
    found = canary_exposure(
        model, TOKENIZER, [*planted.canaries, *never], block=32, form=FORM, alternatives=1000
    )
    # Of 1000 drawn none is cheaper: at least 8 bits with confidence, where chance gives 8 bits
    # to one secret in 256.
    assert found.low[:2].min() > 8
    # Never planted, but made of digits that a memorized canary prefers: still far from 8 bits.
    assert np.median(found.bits[2:]) < 4


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: exposure_of_losses(np.zeros(0), np.ones(3), space=9), "losses must be"),
        (
            lambda: exposure_of_losses(np.ones(1), np.array([np.nan]), space=9),
            "alternatives must be numbers, got nan",
        ),
        (lambda: exposure_of_losses(np.ones(1), np.ones(3), space=2), "at most the space"),
        (lambda: canary_exposure(None, TOKENIZER, [], block=8), "at least one"),
        (lambda: canary_exposure(None, TOKENIZER, ["no key"], block=8), "canary must be"),
    ],
)
def test_bad_input_is_named(call, wanted):
    with pytest.raises(ValueError, match=wanted):
        call()
