"""What the contract found: the clauses kept, and those left out with the reason."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LossContractReport:
    """The outcome of a contract that was not broken; print it for a table.

    Attributes:
      outcomes: each clause in order, with None where the loss keeps it and otherwise the reason
        why it was left out.
    """

    outcomes: tuple[tuple[str, str | None], ...]

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the clauses the loss keeps."""
        return tuple(name for name, reason in self.outcomes if reason is None)

    @property
    def left_out(self) -> dict[str, str]:
        """The reason for each clause that does not apply or was not asked for."""
        return {name: reason for name, reason in self.outcomes if reason is not None}

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self.outcomes), default=0)
        return "\n".join(
            f"{name:<{width}}  " + ("kept" if reason is None else f"left out: {reason}")
            for name, reason in self.outcomes
        )
