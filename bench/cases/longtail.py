"""Cases of the losses for long-tailed classes."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
