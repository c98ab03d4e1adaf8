"""Attribution, robustness and fairness of a language model: planted, null and odd subjects."""

import dataclasses

import numpy as np
import pytest

from tests.audit.overfit_gpt import learn_by_heart, make_gpt, random_sentences
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.sections.language_fairness import language_fairness_section
from xentjax.audit.sections.language_robustness import language_robustness_section
from xentjax.audit.sections.token_attribution import language_attribution_section
from xentjax.data import ByteTokenizer

SECTIONS = (
    language_attribution_section,
    language_robustness_section,
    language_fairness_section,
)


def encode(text):
    return ByteTokenizer().encode(text).astype(np.int32)


def code(count):
    return "".join(f"    x{n} = f({n * 7919 % 1000})\n" for n in range(count))


@pytest.fixture(scope="module")
def subject():
    prose = random_sentences(60, seed=0)
    tokens = {
        "train": encode(prose),
        "validation": encode(random_sentences(10, seed=1)),
        "test": encode(random_sentences(50, seed=0) + code(50)),
    }
    model = learn_by_heart(make_gpt(256, block=16), tokens["train"], steps=150)
    return LanguageModel("tiny", model, ByteTokenizer(), tokens, 16)


@pytest.fixture(scope="module")
def untrained(subject):
    return dataclasses.replace(subject, model=make_gpt(256, block=16))


def test_code_that_a_model_of_prose_never_saw_is_served_worse(subject):
    section = language_fairness_section(subject)
    found = {measure.name: measure for measure in section.measures}
    assert found["loss on code lines"].low > found["loss on prose lines"].high
    assert section.verdict == "act"


def test_a_model_that_knows_no_kind_serves_all_alike(untrained):
    assert language_fairness_section(untrained).verdict == "good"


def test_damage_costs_more_the_more_there_is(subject):
    section = language_robustness_section(subject)
    losses = [float(row[1]) for row in section.grids[0].rows]
    # Nested damage: from none to a tenth to half.
    assert losses[0] < losses[4] < losses[6]
    assert len(section.grids[1].rows) == 1  # one layer


def test_an_untrained_model_cannot_be_told_to_use_context(untrained):
    section = language_attribution_section(untrained)
    gain = section.measures[0]
    # Initial logits are near 0: whatever is read, a token costs ln 256.
    assert abs(gain.value) < 0.02
    assert "".join(piece for piece, _ in section.texts[0].pieces)


def test_the_coloured_text_is_the_test_text(subject):
    section = language_attribution_section(subject)
    shown = "".join(piece for piece, _ in section.texts[0].pieces)
    assert shown in ByteTokenizer().decode(subject.tokens["test"])
    assert section.pictures[0].svg.count("<svg") == 1


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
@pytest.mark.parametrize("length", [0, 1, 2, 18])
def test_little_text_is_unmeasured_and_not_an_error(untrained, section, length):
    tokens = {**untrained.tokens, "test": untrained.tokens["test"][:length]}
    told = []
    found = section(dataclasses.replace(untrained, tokens=tokens), progress=told.append)
    assert found.unmeasured
    assert found.verdict in ("good", "watch", "unmeasured")
