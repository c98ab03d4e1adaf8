"""Successive halving: many trials begin, and the best go on.

Use it where a bad configuration shows early: with factor η each rung costs about as much as the
one before it, and log_η(trials) rungs find what full training of all trials would, for a fraction
of the steps. Where good configurations begin slowly (a long warm-up), raise `min_steps`.
"""

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Halving:
    """Keep the best 1/factor of the trials after min_steps · factorᵏ steps, k = 0, 1, …

    Attributes:
        factor: η, at least 2.
        min_steps: steps of every trial before the first choice.

    Example:
        >>> Halving(factor=3, min_steps=10).rungs(100)
        [10, 30, 100]
        >>> [Halving(factor=3).keep(trials) for trials in (27, 9, 3, 1)]
        [9, 3, 1, 1]

    Reference:
        K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
        Optimization", 2016.
    """

    factor: int = 3
    min_steps: int = 50

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"Halving factor must be at least 2, got {self.factor}")
        if self.min_steps < 1:
            raise ValueError(f"Halving min_steps must be at least 1, got {self.min_steps}")

    def rungs(self, steps: int) -> list[int]:
        """The steps at which trials are compared, the last of all at the end.

        Raises:
            ValueError: if there is nothing to halve: min_steps is not below steps.
        """
        if self.min_steps >= steps:
            raise ValueError(
                f"Halving min_steps must be below steps, got {self.min_steps} and {steps}; lower "
                "min_steps or leave halving out"
            )
        found = [self.min_steps]
        # No choice shortly before the end, where it would save little.
        while found[-1] * self.factor**2 <= steps:
            found.append(found[-1] * self.factor)
        return [*found, steps]

    def keep(self, trials: int) -> int:
        """How many of so many trials go on: ⌊trials / factor⌋, at least one."""
        return max(1, trials // self.factor)

    def survivors(self, losses: Mapping[int, float]) -> list[int]:
        """The trials that go on, in the order of their numbers.

        Args:
            losses: trial number → validation loss, not finite where it diverged.

        Returns:
            The `keep(len(losses))` lowest, fewer where the others diverged; equal losses go by
            number.

        Example:
            >>> Halving(factor=2).survivors({0: 0.5, 1: math.nan, 2: 0.1, 3: 0.4})
            [2, 3]
        """
        finite = sorted((loss, number) for number, loss in losses.items() if math.isfinite(loss))
        return sorted(number for _, number in finite[: self.keep(len(losses))])
