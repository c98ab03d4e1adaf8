"""Cases of the contrastive losses."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
