"""Cases of the losses of sequences."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
