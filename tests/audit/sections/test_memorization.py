"""A model that knows its text by heart is found out, one that knows nothing is not."""

import dataclasses

import numpy as np
import pytest

from tests.audit.overfit_gpt import learn_by_heart, make_gpt, random_sentences
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.sections.memorization import memorization_section
from xentjax.data import ByteTokenizer
from xentjax.data.canaries import CanaryFormat, plant_canaries

FORM = CanaryFormat("key ", length=5)
OPTIONS = {"form": FORM, "prompts": 40, "alternatives": 400}


def encode(text):
    return ByteTokenizer().encode(text).astype(np.int32)


def make_subject(*, steps):
    # One text cut in three, so that no part is harder than another.
    lines = random_sentences(148, seed=0).splitlines(keepends=True)
    planted = plant_canaries("".join(lines[:8]), copies=[6], form=FORM, seed=1)
    tokens = {
        # The same passage many times over, so that there is room for many prompts.
        "train": np.tile(encode(planted.text), 18),
        "validation": encode("".join(lines[8:78])),
        "test": encode("".join(lines[78:])),
    }
    model = make_gpt(256, layers=2, block=24)
    if steps:
        model = learn_by_heart(model, tokens["train"], steps=steps)
    return LanguageModel("tiny", model, ByteTokenizer(), tokens, 24, planted.canaries)


def verdicts(section):
    return {measure.name: measure.verdict for measure in section.measures}


@pytest.mark.slow
def test_a_text_learned_by_heart_is_found_by_every_attack():
    section = memorization_section(make_subject(steps=900), **OPTIONS)
    found = verdicts(section)
    assert section.verdict == "act"
    assert found["training prompts whose next 20 tokens are recited"] == "act"
    assert found["training against test passages (AUC)"] == "act"
    assert found["exposure of the most exposed secret"] == "act"
    assert section.advice


@pytest.mark.slow
def test_a_model_that_learned_nothing_gives_nothing_away():
    told = []
    # None of the 80 and more that there is room for: the interval ends below 5 %, which is good.
    options = OPTIONS | {"prompts": 100}
    section = memorization_section(make_subject(steps=0), progress=told.append, **options)
    found = verdicts(section)
    # Some 60 passages leave an interval of ± 0.1 about the area, which may straddle its bound.
    membership = found.pop("training against test passages (AUC)")
    assert membership != "act"
    # Nulls are told and not judged.
    assert set(found.values()) == {"good", None}, found
    assert len(told) == 4
    assert [picture.title for picture in section.pictures]
    assert "key" in section.grids[1].rows[0][0]
    # The secret itself does not stand in the report.
    secret = make_subject(steps=0).canaries[0]
    assert secret not in repr(section)


def test_too_little_text_is_unmeasured_and_not_an_error():
    subject = make_subject(steps=0)
    short = {split: part[:26] for split, part in subject.tokens.items()}
    odd = dataclasses.replace(subject, tokens=short, canaries=())
    section = memorization_section(odd, **OPTIONS)
    reasons = " ".join(section.unmeasured)
    for part in ("Verbatim extraction", "--canaries 4", "Membership of passages"):
        assert part in reasons
    foreign = memorization_section(dataclasses.replace(odd, canaries=("no such form",)), **OPTIONS)
    assert "canary must be" in " ".join(foreign.unmeasured)
