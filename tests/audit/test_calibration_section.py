"""The section on overconfidence finds what was planted, and takes any subject."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.sections.calibration import calibration_section

pytest.importorskip("matplotlib", reason="the section draws")


def make_subject(rng, *, n=400, classes=3, factor=1.0, features=10, image=False):
    """A linear model whose labels are drawn from the softmax of its logits, times a factor."""
    weight = rng.normal(size=(features, classes)).astype(np.float32)

    def predict(x):
        return factor * (x.reshape(x.shape[0], -1) @ weight)

    def rows():
        x = rng.normal(size=(n, features)).astype(np.float32)
        logits = np.asarray(predict(jnp.asarray(x))) / factor
        labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)
        x = x.reshape(n, 2, -1) if image else x
        return Rows(x, labels, (factor * logits).astype(np.float32))

    return Classifier(
        name="linear",
        class_names=tuple(f"class {c}" for c in range(classes)),
        train=rows(),
        validation=rows(),
        test=rows(),
        predict=predict,
        make_model=lambda key: None,  # noqa: ARG005
        steps=1,
        batch_size=1,
        learning_rate=0.1,
    )


def measure(section, name):
    (found,) = [m for m in section.measures if name in m.name]
    return found


def test_planted_overconfidence_must_be_acted_on():
    section = calibration_section(make_subject(np.random.default_rng(0), factor=4.0))
    assert section.verdict == "act"
    assert measure(section, "confidence minus accuracy").verdict == "act"
    assert measure(section, "calibration error on test after").verdict != "act"
    # The factor is the temperature; 400 rows know it to about 10 %.
    advice = section.advice[0]
    assert advice.startswith("Divide the logits by ")
    assert 3 < float(advice.removeprefix("Divide the logits by ").split()[0]) < 5
    assert [picture.title for picture in section.pictures] == [
        "Reliability",
        "Handing over",
        "Prediction sets",
    ]


@pytest.mark.slow
def test_an_honest_model_is_not_to_be_acted_on():
    section = calibration_section(make_subject(np.random.default_rng(1), n=1500))
    assert measure(section, "confidence minus accuracy").verdict == "good"
    assert measure(section, "calibration error on test").verdict == "good"
    assert measure(section, "sets promised").verdict == "good"
    assert measure(section, "AURC").verdict == "good"
    assert not any(text.startswith("Divide") for text in section.advice)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_section_and_says_what_it_does():
    subject, told = make_subject(np.random.default_rng(2), n=40), []
    first = calibration_section(subject, seed=3, progress=told.append)
    assert first == calibration_section(subject, seed=3)
    assert len(told) == 4


def test_sets_without_their_promise_are_found():
    subject = make_subject(np.random.default_rng(3), n=40)
    moved = dataclasses.replace(subject.test, labels=(subject.test.labels + 1) % 3)
    section = calibration_section(dataclasses.replace(subject, test=moved))
    assert measure(section, "sets promised").verdict == "act"


def relabelled(subject, labels):
    """All three splits with the labels that a function of logits gives."""
    return dataclasses.replace(
        subject,
        **{
            name: dataclasses.replace(
                getattr(subject, name),
                labels=labels(getattr(subject, name).logits).astype(np.int32),
            )
            for name in ("train", "validation", "test")
        },
    )


def cut(rows, n):
    return Rows(rows.features[:n], rows.labels[:n], rows.logits[:n])


def five(subject):
    return dataclasses.replace(
        subject, validation=cut(subject.validation, 5), test=cut(subject.test, 5)
    )


ODD = {
    "five rows": lambda rng: five(make_subject(rng, n=40)),
    "one row": lambda rng: make_subject(rng, n=1),
    "all right": lambda rng: relabelled(make_subject(rng, n=40), lambda x: x.argmax(axis=1)),
    "all wrong": lambda rng: relabelled(make_subject(rng, n=40), lambda x: x.argmin(axis=1)),
    "five rows all right": lambda rng: five(
        relabelled(make_subject(rng, n=40), lambda x: x.argmax(axis=1))
    ),
    "one class only": lambda rng: relabelled(make_subject(rng, n=40), lambda x: np.zeros(len(x))),
    "two classes, one feature": lambda rng: make_subject(rng, n=40, classes=2, features=1),
    "thirty classes": lambda rng: make_subject(rng, n=40, classes=30),
    "images": lambda rng: make_subject(rng, n=40, image=True),
    "huge logits": lambda rng: make_subject(rng, n=40, factor=1e6),
    "logits that say nothing": lambda rng: make_subject(rng, n=40, factor=1e-30),
}


SLOW = ("one row", "two classes, one feature", "thirty classes")  # shapes of their own compile


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, make in ODD.items()
    ],
)
def test_odd_subjects_get_a_section(make):
    section = calibration_section(make(np.random.default_rng(4)))
    assert section.verdict in ("good", "watch", "act")
    assert section.finding
    for found in section.measures:
        assert "p-value" in found.name or found.low <= found.value <= found.high
    for grid in section.grids:
        assert all(len(row) == len(grid.columns) for row in grid.rows)
        assert not any("nan" in str(cell) for row in grid.rows for cell in row)
    assert "nan" not in section.finding


def test_too_few_rows_are_no_reason_for_praise():
    section = calibration_section(ODD["five rows all right"](np.random.default_rng(5)))
    assert section.verdict == "watch"
    assert any("handing over" in text and "29" in text for text in section.unmeasured)
    assert any("too few to promise 95 %" in text for text in section.unmeasured)
    assert any(text.startswith("Temperature scaling: all 5") for text in section.unmeasured)


@pytest.mark.parametrize("split", ["test", "validation"])
def test_no_rows_or_broken_logits_are_unmeasured_with_their_reason(split):
    subject = make_subject(np.random.default_rng(6), n=40)
    rows = getattr(subject, split)
    broken = dataclasses.replace(rows, logits=rows.logits * np.float32("nan"))
    for odd, reason in ((cut(rows, 0), "no rows"), (broken, "not finite")):
        section = calibration_section(dataclasses.replace(subject, **{split: odd}))
        assert section.verdict == "unmeasured"
        assert f"{split}: " in section.finding
        assert reason in section.unmeasured[0]


def test_a_model_that_breaks_on_noise_says_so():
    subject = make_subject(np.random.default_rng(7), n=40)
    odd = dataclasses.replace(subject, predict=lambda x: jnp.full((x.shape[0], 3), jnp.nan))
    section = calibration_section(odd)
    assert sum("not finite" in text for text in section.unmeasured) == 2


def test_a_wrong_alpha_is_named():
    with pytest.raises(ValueError, match="alpha must lie"):
        calibration_section(make_subject(np.random.default_rng(8), n=40), alpha=0.0)
