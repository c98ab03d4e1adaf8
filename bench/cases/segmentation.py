"""Cases of the segmentation losses."""

from bench.cases.case import LossCase

CASES: dict[str, LossCase] = {}
