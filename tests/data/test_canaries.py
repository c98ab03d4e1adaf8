"""Canaries are drawn at random, numbered without a gap, and planted as whole lines."""

import numpy as np
import pytest
from scipy import stats

from xentjax.data.canaries import CanaryFormat, plant_canaries

TEXT = "first line\n  second\n\nfourth, without an end"


def test_numbers_and_canaries_are_one_to_one():
    form = CanaryFormat("x", "abc", 3)
    spelled = [form.spell(number) for number in range(form.space)]
    assert len(set(spelled)) == form.space == 27
    assert [form.number(canary) for canary in spelled] == list(range(27))
    assert form.bits == pytest.approx(np.log2(27))


def test_drawn_fillings_are_uniform():
    form = CanaryFormat("x", "abc", 2)
    drawn = [form.number(canary) for canary in form.draw(9000, np.random.default_rng(0))]
    # A fixed seed; a p-value below 1e-4 comes to one generator in ten thousand.
    assert stats.chisquare(np.bincount(drawn, minlength=9)).pvalue > 1e-4


def test_without_the_planted_lines_the_text_is_what_it_was():
    text, canaries = plant_canaries(TEXT, copies=[1, 4, 9], seed=3)
    lines = text.split("\n")
    assert [lines.count(canary) for canary in canaries] == [1, 4, 9]
    assert "\n".join(line for line in lines if line not in canaries) == TEXT


def test_the_seed_decides_secrets_and_places():
    first, again, other = (plant_canaries(TEXT, copies=[2, 2], seed=s) for s in (0, 0, 1))
    assert first == again
    assert set(first.canaries).isdisjoint(other.canaries)


def test_canaries_of_a_small_space_are_distinct():
    form = CanaryFormat("x", "ab", 2)
    assert len(set(plant_canaries(TEXT, copies=[1] * 4, form=form, seed=0).canaries)) == 4
    with pytest.raises(ValueError, match="only 4"):
        plant_canaries(TEXT, copies=[1] * 5, form=form, seed=0)


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: CanaryFormat(alphabet="aa"), "alphabet"),
        (lambda: CanaryFormat(length=0), "length"),
        (lambda: CanaryFormat(prefix="a\nb"), "line breaks"),
        (lambda: CanaryFormat().number("The secret number is 12"), "canary must be"),
        (lambda: CanaryFormat("x", "ab", 2).spell(4), "number must lie"),
        (lambda: plant_canaries(TEXT, copies=[], seed=0), "copies"),
        (lambda: plant_canaries(TEXT, copies=[1, 0], seed=0), "copies"),
    ],
)
def test_bad_options_are_named(call, wanted):
    with pytest.raises(ValueError, match=wanted):
        call()
