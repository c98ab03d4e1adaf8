"""The dangers an audit looks for, in the order of the report, and who measures each.

Sections are found by name and loaded on use, so that one that cannot be loaded, for want of an
extra, costs itself alone.
"""

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xentjax.audit.section import Section


@dataclasses.dataclass(frozen=True)
class Danger:
    """A danger and its section.

    Attributes:
        key: one word, as it is asked for.
        title: what it is called in the report.
        question: what a careful person asks.
        section: the function that measures it, as "module:function" in `audit.sections`.
        quick: options of it that make it quicker and its intervals wider.
    """

    key: str
    title: str
    question: str
    section: str
    quick: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def load(self) -> Callable[..., Section]:
        """The function."""
        module, function = self.section.split(":")
        return getattr(importlib.import_module(f"xentjax.audit.sections.{module}"), function)


CLASSIFIER_DANGERS = (
    Danger(
        "overfitting",
        "Overfitting",
        "Has the model learned the rule, or the rows?",
        "overfitting:overfitting_section",
        quick={"curve_repeats": 1},
    ),
    Danger(
        "calibration",
        "Overconfidence",
        "Is the model as often right as it says?",
        "calibration:calibration_section",
    ),
    Danger(
        "fairness",
        "Unequal treatment",
        "Is the model as good for every class and every group?",
        "fairness:fairness_section",
    ),
    Danger(
        "data",
        "Data quality",
        "Can the data be trusted?",
        "data_quality:data_quality_section",
    ),
    Danger(
        "privacy",
        "Membership",
        "Can it be told from the model which rows it was trained on?",
        "privacy:privacy_section",
        quick={"shadows": 16},
    ),
    Danger(
        "attribution",
        "Unexplained decisions",
        "What do the decisions rest on?",
        "attribution:attribution_section",
        quick={"rows": 16},
    ),
    Danger(
        "robustness",
        "Fragile answers",
        "Do small changes of the input or of the labels change the answers?",
        "robustness:robustness_section",
        quick={"trainings": 1, "rows": 128},
    ),
)
LANGUAGE_DANGERS = (
    Danger(
        "overfitting",
        "Overfitting",
        "Has the model learned the language, or the text?",
        "overfitting:language_overfitting_section",
        quick={"most_passages": 16},
    ),
    Danger(
        "calibration",
        "Overconfidence",
        "Do tokens come as often as the model says?",
        "language_calibration:language_calibration_section",
    ),
    Danger(
        "fairness",
        "Unequal service",
        "Is the model as good on every kind of text?",
        "language_fairness:language_fairness_section",
    ),
    Danger(
        "data",
        "Data quality",
        "Can the text be trusted?",
        "data_quality:language_data_section",
    ),
    Danger(
        "memorization",
        "Memorized text",
        "Can what the model was trained on be told from what it says?",
        "memorization:memorization_section",
        quick={"prompts": 32, "alternatives": 512},
    ),
    Danger(
        "attribution",
        "What it looks at",
        "What does the model use to predict the tokens it finds hard?",
        "token_attribution:language_attribution_section",
    ),
    Danger(
        "robustness",
        "Damaged input",
        "Do small changes of the text change the predictions?",
        "language_robustness:language_robustness_section",
    ),
)


def choose_dangers(dangers: Sequence[Danger], only: Sequence[str]) -> tuple[Danger, ...]:
    """Those that are asked for by key, in the order of the report; all if none is.

    Raises:
        ValueError: if there is none of a name, with the nearest.
    """
    known = [danger.key for danger in dangers]
    for name in only:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"only: this model has no danger {name!r}; {hint}It has {', '.join(known)}"
            )
    return tuple(danger for danger in dangers if not only or danger.key in only)
