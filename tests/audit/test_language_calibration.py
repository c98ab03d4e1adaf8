"""Overconfidence of language models: planted is found, honest is let be, little is unmeasured."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from tests.audit.overfit_gpt import make_gpt
from xentjax.audit.calibration import measure_calibration
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.sections.language_calibration import language_calibration_section
from xentjax.audit.token_calibration import fit_token_temperature, measure_token_calibration
from xentjax.audit.token_predictions import (
    TokenLogits,
    TokenPredictions,
    sample_logits,
    token_predictions,
)
from xentjax.data import ByteTokenizer

pytest.importorskip("matplotlib", reason="the section draws")

CLASSES, BLOCK = 8, 16
SCORES = np.random.default_rng(0).normal(scale=1.5, size=(CLASSES, CLASSES)).astype(np.float32)


def draw_text(length, seed):
    """A text of which each token has the probabilities of a softmax of its predecessor's scores."""
    noise = np.random.default_rng(seed).gumbel(size=(length, CLASSES))
    tokens = np.zeros(length, np.int32)
    for place in range(1, length):
        tokens[place] = (SCORES[tokens[place - 1]] + noise[place]).argmax()
    return tokens


def honest(tokens):
    return jnp.asarray(SCORES)[tokens]


def sharpened(tokens):
    return 3 * honest(tokens)


def doubtful(tokens):
    return honest(tokens) / 3


@pytest.fixture(scope="module")
def subject():
    tokens = {
        name: draw_text(8_000, seed) for seed, name in enumerate(("train", "validation", "test"))
    }
    return LanguageModel("chain", honest, ByteTokenizer(), tokens, BLOCK)


def measure(section, name):
    (found,) = [m for m in section.measures if m.name.startswith(name)]
    return found


def test_planted_overconfidence_is_found_with_its_temperature(subject):
    section = language_calibration_section(dataclasses.replace(subject, model=sharpened))
    assert section.verdict == "act"
    assert measure(section, "mean confidence minus accuracy").low > 0.05
    assert measure(section, "calibration error").verdict == "act"
    temperature = measure(section, "temperature")
    # Scores were multiplied by 3. 8 000 tokens know log T to about √2/√8000 = 1.6 %: 4 of these.
    assert abs(np.log(temperature.value / 3)) < 0.064
    assert temperature.low < 3 < temperature.high
    assert measure(section, "test loss that").low > 0.1
    assert section.advice[0].startswith("Divide the logits by ")
    assert section.pictures[0].svg.count("<svg") == 1


def test_an_honest_model_is_let_be(subject):
    section = language_calibration_section(subject)
    assert section.verdict == "good"
    assert section.advice == []
    temperature = measure(section, "temperature")
    assert temperature.low < 1 < temperature.high
    before, after = (row[5] for row in section.grids[0].rows)
    # A byte is a token here; the text's own entropy is what the scores say.
    p = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    test = subject.tokens["test"]
    expected = -np.log2(p[test[:-1], test[1:]]).mean()
    # Passages leave out a part of the text: 4 standard errors of a spread of about 1.5 bits.
    assert abs(float(before) - expected) < 4 * 1.5 / np.sqrt(len(test))
    assert abs(float(before) - float(after)) < 0.01


def test_a_model_that_is_too_unsure_is_watched(subject):
    section = language_calibration_section(dataclasses.replace(subject, model=doubtful))
    assert measure(section, "mean confidence minus accuracy").high < 0
    assert abs(np.log(3 * measure(section, "temperature").value)) < 0.064
    assert section.verdict in ("watch", "act")


def test_the_same_seed_gives_the_same_section(subject):
    told = []
    first = language_calibration_section(subject, seed=1, progress=told.append)
    assert first == language_calibration_section(subject, seed=1)
    assert len(told) == 2


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("length", [0, 1, 2, 40])
def test_tiny_texts_are_unmeasured_with_reason_and_remedy(subject, split, length):
    tokens = {**subject.tokens, split: subject.tokens[split][:length]}
    section = language_calibration_section(dataclasses.replace(subject, tokens=tokens))
    assert section.verdict == "unmeasured"
    assert split in section.finding
    assert "hold out a longer text" in section.unmeasured[0]


def test_few_passages_are_no_reason_for_praise(subject):
    tokens = {**subject.tokens, "test": subject.tokens["test"][: 12 * (BLOCK + 1)]}
    section = language_calibration_section(dataclasses.replace(subject, tokens=tokens))
    assert section.verdict in ("watch", "act")
    assert any(text.startswith("Hold out more text: 12") for text in section.advice)


def test_broken_and_certain_models_are_no_error(subject):
    broken = dataclasses.replace(subject, model=lambda t: jnp.full((*t.shape, CLASSES), jnp.nan))
    section = language_calibration_section(broken)
    assert section.verdict == "unmeasured"
    assert "not finite" in section.unmeasured[0]
    always = {name: np.arange(3000, dtype=np.int32) % 5 for name in subject.tokens}
    model = lambda t: 50.0 * jnp.eye(CLASSES)[(t + 1) % 5]  # noqa: E731
    section = language_calibration_section(dataclasses.replace(subject, model=model, tokens=always))
    assert section.verdict == "good"
    assert section.unmeasured[0].startswith("Temperature: on")
    nothing = dataclasses.replace(subject, model=lambda t: jnp.zeros((*t.shape, CLASSES)))
    assert "nan" not in language_calibration_section(nothing).finding


def test_each_token_is_predicted_once_and_in_order(subject):
    tokens = subject.tokens["test"][:202].reshape(2, 101)
    (found,) = token_predictions(honest, tokens, block=BLOCK, batch_size=4)
    p = np.exp(SCORES.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    read, came = tokens[:, :-1], tokens[:, 1:]
    np.testing.assert_allclose(found.losses, -np.log(p[read, came]), rtol=1e-5)
    np.testing.assert_allclose(found.confidence, p[read].max(axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(found.correct, p[read].argmax(axis=-1) == came)


def test_no_gpt_guesses_random_tokens_better_than_chance(subject):
    rng = np.random.default_rng(1)
    tokens = {name: rng.integers(0, CLASSES, 8_000).astype(np.int32) for name in subject.tokens}
    gpt = dataclasses.replace(subject, model=make_gpt(CLASSES, block=BLOCK), tokens=tokens)
    section = language_calibration_section(gpt)
    right = float(section.finding.split("token came in ")[1].split()[0]) / 100
    assert abs(right - 1 / 8) < 4 * np.sqrt(7 / 64 / 7950)
    gap = measure(section, "mean confidence minus accuracy")
    # The likeliest of eight has at least an eighth.
    assert gap.value > 1 / 8 - right - 1e-3


def test_a_sample_holds_logits_of_its_tokens(subject):
    tokens = subject.tokens["test"][:303].reshape(3, 101)
    whole = sample_logits(honest, tokens, block=BLOCK, batch_size=4)
    np.testing.assert_array_equal(whole.labels, tokens[:, 1:].reshape(-1))
    np.testing.assert_array_equal(whole.logits, SCORES[tokens[:, :-1].reshape(-1)])
    np.testing.assert_array_equal(whole.passages, np.repeat([0, 1, 2], 100))
    part = sample_logits(honest, tokens, block=BLOCK, numbers=50 * CLASSES, batch_size=4)
    assert len(part.labels) == 50
    # The sampled pairs are among those of the text, at places that rise.
    assert np.all(np.diff(part.passages) >= 0)
    assert {(*x, y) for x, y in zip(part.logits.tolist(), part.labels.tolist(), strict=True)} <= {
        (*x, y) for x, y in zip(whole.logits.tolist(), whole.labels.tolist(), strict=True)
    }


@pytest.mark.slow  # compiles two fits of its own
def test_passages_of_one_token_are_rows_of_a_classifier():
    """Where passages say nothing, the sandwich is the usual variance and E² the usual error."""
    rng = np.random.default_rng(5)
    logits = rng.normal(scale=2, size=(1500, 4)).astype(np.float32)
    labels = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    sample = TokenLogits(logits, labels, np.arange(1500))
    scaling, temperature = fit_token_temperature(sample)
    width = np.log(temperature.high / temperature.low) / (2 * 1.96)
    # Both estimate the same variance where the temperature is right; 4 of √(2/1500) of it.
    assert width * temperature.value == pytest.approx(scaling.standard_error, rel=0.15)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = p.argmax(axis=1) == labels
    nats = -np.log(p[np.arange(1500), labels])
    found = measure_token_calibration(
        TokenPredictions(p.max(axis=1)[:, None], right[:, None], nats[:, None])
    )
    expected = measure_calibration(logits, labels)
    # Debiasing by the spread of conf − hit or of hit alone differs by the spread of conf in a bin.
    assert found.error.value == pytest.approx(expected.error.value, abs=2e-3)
    assert found.error.low == pytest.approx(expected.error.low, abs=0.01)
    assert found.error.high == pytest.approx(expected.error.high, abs=0.01)
    assert found.overconfidence.value == pytest.approx(expected.overconfidence.value)
    np.testing.assert_array_equal(found.diagram.count, expected.diagram.count)
    np.testing.assert_allclose(found.diagram.accuracy, expected.diagram.accuracy, rtol=1e-6)


def test_tokens_that_are_wrong_together_count_as_one():
    """Fifty copies of a token are no fifty tokens: the interval must not shrink with them."""
    rng = np.random.default_rng(6)
    sure = rng.uniform(0.3, 0.9, size=(100, 1))
    hits = rng.random((100, 1)) < sure
    alone, copied = (
        measure_token_calibration(
            TokenPredictions(*(np.repeat(x, n, axis=1) for x in (sure, hits, np.ones((100, 1)))))
        )
        for n in (1, 50)
    )
    widths = [x.overconfidence.high - x.overconfidence.low for x in (alone, copied)]
    assert widths[1] == pytest.approx(widths[0])
    assert copied.error.value == pytest.approx(alone.error.value, abs=0.02)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="at least 2 passages"):
        measure_token_calibration(
            TokenPredictions(np.ones((1, 3)), np.ones((1, 3), bool), np.ones((1, 3)))
        )
    with pytest.raises(ValueError, match="passages must be"):
        token_predictions(honest, np.zeros((0, 5), np.int32), block=4)
