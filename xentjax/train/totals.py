"""Totals: what an evaluation adds up, as sums and counts, so that any split of the data agrees.

A mean of batch means is the wrong mean as soon as one batch is shorter. These totals are added on
the host in double precision and divided once, at the end.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums over examples or tokens; `a + b` are the totals of both sets together.

    Attributes:
        loss: sum of weighted losses, nats.
        weight: sum of the weights.
        correct: how many were predicted right.
        count: how many were predicted at all; 0 where nobody counted.

    Example:
        >>> both = Totals(loss=6.0, weight=3.0) + Totals(loss=1.0, weight=1.0)
        >>> both.loss_nats  # 7 / 4, where the mean of means would be 1.5
        1.75
    """

    loss: float = 0.0
    weight: float = 0.0
    correct: float = 0.0
    count: float = 0.0

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> "Totals":
        """Add up a step's or an evaluation's metrics over whatever axes they have."""

        def add_up(name: str) -> float:
            return float(np.sum(np.asarray(metrics.get(name, 0.0), np.float64)))

        return cls(add_up("loss_total"), add_up("loss_weight"), add_up("correct"), add_up("count"))

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.loss + other.loss,
            self.weight + other.weight,
            self.correct + other.correct,
            self.count + other.count,
        )

    @property
    def loss_nats(self) -> float:
        """The weighted mean loss in nats; NaN where nothing weighs: 0 would be the best."""
        return self.loss / self.weight if self.weight else math.nan

    @property
    def accuracy(self) -> float | None:
        """The share predicted right, or None where nobody counted."""
        return self.correct / self.count if self.count else None
