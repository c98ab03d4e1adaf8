"""Cases of the losses for ordered classes."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
