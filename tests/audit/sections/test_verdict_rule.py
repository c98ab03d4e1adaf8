"""The verdict of every judged measure is what a reader makes of its interval and its bounds.

The reader here knows the sentence on the page and nothing of the code that wrote it.
"""

import ast
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit import sections
from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.sections.bounds import above, below, between, mild, none, unpraised
from xentjax.audit.sections.calibration import calibration_section
from xentjax.audit.sections.class_shares import class_shares_part
from xentjax.audit.sections.fairness import fairness_section
from xentjax.audit.sections.leaks import leaks_part
from xentjax.audit.sections.moved_features import moved_features_part
from xentjax.audit.sections.overfitting import overfitting_section
from xentjax.audit.sections.perturbations import noise_part, probed_rows
from xentjax.audit.sections.privacy import privacy_section

CLASSES = 3


def number(words):
    words = words.replace("−", "-")
    return float(words[:-2]) / 100 if words.endswith(" %") else float(words)


def read(good, low, high):
    """The verdict that the words give an interval, and whether their rounding leaves it open."""
    wanted, *clauses = good.split("; ")
    words = wanted.split(" ", 1)[-1]
    least, most = -math.inf, math.inf
    if wanted == "none":
        most = 0.0
    elif wanted.startswith("between "):
        least, most = map(number, words.split(" and "))
    elif wanted.startswith("below "):
        most = number(words)
    else:
        assert wanted.startswith("above "), good
        least = number(words)
    bad_below, bad_above = least, most
    praised = "never good" not in clauses
    if "never act" in clauses:
        bad_below, bad_above = -math.inf, math.inf
    for clause in clauses:
        if clause.startswith("act "):
            bad_below, bad_above = -math.inf, math.inf
            for side in clause.removeprefix("act ").split(" or "):
                kind, bound = side.split(" ", 1)
                bad_below = number(bound) if kind == "below" else bad_below
                bad_above = number(bound) if kind == "above" else bad_above
    # Bounds are said with three digits.
    open_ = any(
        math.isfinite(bound) and bound and abs(end - bound) <= 0.005 * abs(bound)
        for bound in (least, most, bad_below, bad_above)
        for end in (low, high)
    )
    if low > bad_above or high < bad_below:
        return "act", open_
    within = high <= 0 if wanted == "none" else least < low and high < most
    return ("good" if praised and within else "watch"), open_


def test_the_words_of_bounds_say_what_bounds_do():
    # The bounds have three digits or fewer, so that the words lose nothing.
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        a, b, c, d = np.sort(rng.integers(-999, 999, 4)) / 1000
        low, high = np.sort(rng.uniform(-1.5, 1.5, 2))
        for bounds in (
            below(b), below(b, act=c), above(b), between(b, c), between(b, c, act=(a, d)),
            none(), none(act=0.01),
        ):  # fmt: skip
            for each in (bounds, mild(bounds), unpraised(bounds), unpraised(mild(bounds))):
                for unit in ("", "share"):
                    verdict, _ = read(each.words(unit), low, high)
                    assert verdict == each.verdict(low, high)
                    seen.add(verdict)
    assert seen == {"good", "watch", "act"}
    assert none().verdict(0.0, 0.0) == "good"


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [(below(1.0), math.nan, math.nan), (above(0.0), 1.0, math.nan), (none(), math.nan, 0.0)],
)
def test_what_is_not_a_number_is_neither_praised_nor_acted_on(bounds, low, high):
    assert bounds.verdict(low, high) == "watch"


def test_no_section_gives_a_measure_a_verdict_of_its_own():
    modules = [p for p in Path(sections.__path__[0]).glob("*.py") if p.name != "bounds.py"]
    calls = [
        (path.name, call)
        for path in modules
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Measure"
    ]
    assert len(calls) > 10
    # Name, value, ends, unit, good; a star stands for value and ends.
    own = [
        name
        for name, call in calls
        if any(word.arg == "verdict" for word in call.keywords)
        or sum(3 if isinstance(each, ast.Starred) else 1 for each in call.args) > 6
    ]
    assert not own


def subject(seed, *, rows, apart, sure, shift=0.0):
    """A linear classifier of Gaussian classes; `sure` times the logits that would be calibrated."""
    rng = np.random.default_rng(seed)
    means = apart * np.eye(CLASSES, 10)

    def split(count, moved=0.0):
        labels = rng.integers(0, CLASSES, count)
        features = (means[labels] + rng.normal(size=(count, 10)) + moved).astype(np.float32)
        return Rows(features, labels, sure * features @ (means.T).astype(np.float32))

    train, validation, test = split(3 * rows), split(rows), split(rows, shift)
    return Classifier(
        name="fake",
        class_names=tuple(f"class {c}" for c in range(CLASSES)),
        train=train,
        validation=validation,
        test=test,
        predict=lambda x: sure * x @ jnp.asarray(means.T, jnp.float32),
        make_model=lambda key: nnx.Linear(10, CLASSES, rngs=nnx.Rngs(key)),
        steps=5,
        batch_size=8,
        learning_rate=1e-3,
        groups={"half": np.arange(rows) % 2},
    )


def measures_of(fake):
    for section in (
        overfitting_section(fake, curve_repeats=0),
        calibration_section(fake),
        fairness_section(fake),
        privacy_section(fake, shadows=0),
        leaks_part(fake),
        class_shares_part(fake, seed=0),
        moved_features_part(fake, seed=0),
        noise_part(fake, probed_rows(fake, 128, 0), 0),
    ):
        yield from section.measures


@pytest.mark.parametrize(
    ("fake", "expected"),
    [
        (subject(0, rows=300, apart=4.0, sure=1.0), {"good", "watch"}),
        (subject(1, rows=300, apart=1.0, sure=6.0, shift=1.0), {"good", "watch", "act"}),
    ],
    ids=["calibrated", "overconfident and shifted"],
)
def test_verdicts_are_what_a_reader_makes_of_intervals_and_bounds(fake, expected):
    judged = [each for each in measures_of(fake) if each.verdict not in (None, "unmeasured")]
    assert len(judged) > 15
    closed = 0
    for each in judged:
        low = each.value if each.low is None else each.low
        high = each.value if each.high is None else each.high
        verdict, open_ = read(each.good, low, high)
        closed += not open_
        assert open_ or verdict == each.verdict, each
    assert closed > 0.8 * len(judged)
    assert expected <= {each.verdict for each in judged}
