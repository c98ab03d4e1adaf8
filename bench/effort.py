"""How much is spent on a contest: as many rounds as fit a budget, or as many as were asked for."""

from dataclasses import dataclass

# Fewer rounds have no quartiles worth the name; more than these add nothing.
FEWEST, MOST = 5, 50


@dataclass(frozen=True)
class Effort:
    """The settings of a run.

    Attributes:
        full: all cases and shapes, and ten times the budget; else what fits `make bench`.
        rounds: rounds of every contest, whatever they cost; None for as many as the budget buys.
    """

    full: bool = False
    rounds: int | None = None

    def rounds_for(self, seconds_a_round: float, budget: float) -> int:
        """Rounds to be timed.

        Args:
            seconds_a_round: what one round of all contestants took.
            budget: seconds the contest may take in a run that is not full.

        Returns:
            `rounds`, or what the budget buys, at least 5 and at most 50.

        Example:
            >>> Effort().rounds_for(0.1, budget=2.0), Effort(rounds=3).rounds_for(0.1, budget=2.0)
            (20, 3)
        """
        if self.rounds is not None:
            return self.rounds
        bought = (10 if self.full else 1) * budget / max(seconds_a_round, 1e-6)
        return int(min(max(bought, FEWEST), MOST))
