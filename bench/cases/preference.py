"""Cases of the preference and policy losses."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
