"""A model that knows a text by heart recites it, an untrained one nothing, and never other text."""

import numpy as np
import pytest
from scipy import stats

from tests.audit.overfit_gpt import learn_by_heart, make_gpt, random_sentences
from xentjax.audit.extraction import extract_verbatim
from xentjax.audit.suffix_array import sort_suffixes
from xentjax.data import ByteTokenizer

OPTIONS = {"prompt_lengths": (4, 16), "length": 24, "targets": (10, 24), "prompts": 11}


def encode(text):
    return ByteTokenizer().encode(text).astype(np.int32)


TRAIN = encode(random_sentences(12, seed=0))
OTHER = encode(random_sentences(12, seed=1))


@pytest.fixture(scope="module")
def knowing():
    return learn_by_heart(make_gpt(256, layers=2, block=40), TRAIN, steps=900)


def test_text_learned_by_heart_is_recited_and_more_so_from_longer_prompts(knowing):
    short, long = extract_verbatim(knowing, TRAIN, sort_suffixes(TRAIN), **OPTIONS)
    # Of 450 characters 16 name a place nearly always; 4 do not.
    assert long.reproduced[10].value > 0.8
    assert long.recited.mean() > short.recited.mean()
    assert long.copied.mean() > 20
    np.testing.assert_array_equal(long.natural, 24)
    assert (long.copied >= long.recited).all()


def test_unseen_text_is_not_recited(knowing):
    found = extract_verbatim(knowing, OTHER, sort_suffixes(TRAIN), **OPTIONS)
    assert found[1].reproduced[10].value == 0
    assert found[1].natural.mean() < 10


def test_an_untrained_model_copies_nothing():
    found = extract_verbatim(make_gpt(256), TRAIN, sort_suffixes(TRAIN), **OPTIONS)
    for each in found:
        assert each.reproduced[10].value == 0
        # Wilson: no success among 11 leaves up to z² / (11 + z²) = 3.8415 / 14.8415.
        assert each.reproduced[10].high == pytest.approx(0.25883, abs=1e-4)
        assert each.copied.mean() < 4


def test_places_are_the_same_for_all_lengths_and_do_not_overlap(knowing):
    source = np.arange(2000) % 250
    found = extract_verbatim(knowing, source, sort_suffixes(source), **OPTIONS)
    first = {tuple(each.natural.tolist()) for each in found}
    assert len(first) == 1
    assert all(len(each.copied) == 11 for each in found)
    few = extract_verbatim(knowing, source[:125], sort_suffixes(source), **OPTIONS)
    assert len(few[0].copied) == 3  # 125 // (16 + 24)


def test_counts_are_those_of_the_continuations(knowing):
    found = extract_verbatim(knowing, TRAIN, sort_suffixes(TRAIN), **OPTIONS)[0]
    text = TRAIN.astype(np.uint8).tobytes()
    for row, copied in zip(found.continuations.astype(np.uint8), found.copied, strict=True):
        spans = [
            length
            for length in range(25)
            if any(row[start : start + length].tobytes() in text for start in range(25 - length))
        ]
        assert max(spans) == copied
    successes = int((found.recited >= 10).sum())
    interval = stats.binomtest(successes, 11).proportion_ci(method="wilson")
    np.testing.assert_allclose(found.reproduced[10][1:], interval, atol=1e-6)
    mean = found.mean_copied()
    assert mean.low <= mean.value <= mean.high
    assert mean.value == pytest.approx(found.copied.mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"length": 0}, "length must be"),
        ({"prompts": 0}, "prompts must be"),
        ({"prompt_lengths": ()}, "prompt_lengths must be"),
        ({"targets": (25,)}, "targets must lie"),
        ({"prompt_lengths": (5000,)}, "source must hold"),
    ],
)
def test_bad_options_are_named(options, wanted):
    with pytest.raises(ValueError, match=wanted):
        extract_verbatim(None, TRAIN, sort_suffixes(TRAIN), **{**OPTIONS, **options})
