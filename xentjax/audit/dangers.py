"""The dangers an audit looks for, in the order of the report, and who measures each.

Sections are found by name and loaded on use, so that one that cannot be loaded, for want of an
extra, costs itself alone.
"""

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xentjax.audit import heads
from xentjax.audit.section import Section


@dataclasses.dataclass(frozen=True)
class Danger:
    """A danger and its section.

    Attributes:
        head: its key, title and question.
        section: the function that measures it, as "module:function" in `audit.sections`.
        quick: options of it that make it quicker and its intervals wider.
    """

    head: heads.Head
    section: str
    quick: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> str:
        """One word, as it is asked for."""
        return self.head.key

    @property
    def title(self) -> str:
        """What it is called in the report."""
        return self.head.title

    def load(self) -> Callable[..., Section]:
        """The function."""
        module, function = self.section.split(":")
        return getattr(importlib.import_module(f"xentjax.audit.sections.{module}"), function)


CLASSIFIER_DANGERS = (
    Danger(heads.OVERFITTING, "overfitting:overfitting_section", quick={"curve_repeats": 1}),
    Danger(heads.CALIBRATION, "calibration:calibration_section"),
    Danger(heads.FAIRNESS, "fairness:fairness_section"),
    Danger(heads.DATA, "data_quality:data_quality_section"),
    Danger(heads.PRIVACY, "privacy:privacy_section", quick={"shadows": 16}),
    Danger(heads.ATTRIBUTION, "attribution:attribution_section", quick={"rows": 24}),
    Danger(heads.ROBUSTNESS, "robustness:robustness_section", quick={"trainings": 1, "rows": 128}),
)
LANGUAGE_DANGERS = (
    Danger(
        heads.OVERFITTING,
        "overfitting:language_overfitting_section",
        # As many as its intervals need to be believed.
        quick={"most_passages": 30},
    ),
    Danger(
        heads.LANGUAGE_CALIBRATION,
        "language_calibration:language_calibration_section",
        quick={"most_passages": 30},
    ),
    Danger(heads.LANGUAGE_FAIRNESS, "language_fairness:language_fairness_section"),
    Danger(heads.LANGUAGE_DATA, "data_quality:language_data_section"),
    Danger(
        heads.LANGUAGE_MEMORIZATION,
        "memorization:memorization_section",
        quick={"prompts": 32, "alternatives": 512},
    ),
    Danger(heads.LANGUAGE_ATTRIBUTION, "token_attribution:language_attribution_section"),
    Danger(heads.LANGUAGE_ROBUSTNESS, "language_robustness:language_robustness_section"),
)


def choose_dangers(dangers: Sequence[Danger], only: Sequence[str]) -> tuple[Danger, ...]:
    """Those that are asked for by key, in the order of the report; all if none is.

    Raises:
        ValueError: if there is none of a name, with the nearest.
    """
    known = [danger.key for danger in dangers]
    for name in only:
        if name not in known:
            raise ValueError(
                f"only: this model has no danger {name!r}; {_hint(name, known)}"
                f"It has {', '.join(known)}"
            )
    return tuple(danger for danger in dangers if not only or danger.key in only)


def _hint(name: str, known: Sequence[str]) -> str:
    if name in [danger.key for danger in LANGUAGE_DANGERS]:
        return "that is a danger of language models. "
    if name in [danger.key for danger in CLASSIFIER_DANGERS]:
        return "that is a danger of classifiers. "
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}? " if near else ""
