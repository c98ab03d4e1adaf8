"""Cases of the losses robust to label noise."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
