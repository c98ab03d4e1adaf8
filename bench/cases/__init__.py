"""Every loss of the family as a case; a new family adds a file and a line here."""

from bench.cases import (
    classics,
    contrastive,
    longtail,
    margins,
    normalizations,
    ordinal,
    preference,
    robust,
    segmentation,
    sequences,
    softmax,
)
from bench.cases.case import LossCase

FAMILIES: dict[str, dict[str, LossCase]] = {
    "cross-entropy, divergences, regression": classics.CASES,
    "reshaped softmax and sigmoid": softmax.CASES,
    "label noise": robust.CASES,
    "long tails": longtail.CASES,
    "ordered classes": ordinal.CASES,
    "other normalizations, consistency": normalizations.CASES,
    "contrastive": contrastive.CASES,
    "sequences": sequences.CASES,
    "preference and policy": preference.CASES,
    "segmentation": segmentation.CASES,
    "margins and ranking": margins.CASES,
}
CASES: dict[str, LossCase] = {
    name: case for family in FAMILIES.values() for name, case in family.items()
}
