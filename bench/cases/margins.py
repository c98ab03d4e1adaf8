"""Cases of the margin and ranking losses."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
