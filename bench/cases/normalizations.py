"""Cases of losses with another normalization than softmax, and of consistency."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
