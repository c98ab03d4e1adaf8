"""What a broken clause says: which clause, at which input, what it got and what it wanted.

A clause states its demands through a `Requirement`, which knows where the clause is looking.
Whatever the loss raises there is reported as a breach of that clause too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from xentjax.testing.point import Point


class LossContractError(AssertionError):
    """A loss broke a clause of the contract.

    Attributes:
      clause: name of the broken clause.
      at: the input it broke at: name, dtypes, shapes and scale.
      what: the quantity compared.
      got: what the loss gave.
      wanted: what the clause demands.
      remedy: what to do about it, None where the breach has no usual cause.
    """

    def __init__(
        self, clause: str, at: str, what: str, got: str, wanted: str, remedy: str | None = None
    ):
        super().__init__(clause, at, what, got, wanted, remedy)
        self.clause, self.at, self.what, self.got, self.wanted = clause, at, what, got, wanted
        self.remedy = remedy

    def __str__(self) -> str:
        breach = (
            f"the loss breaks clause {self.clause!r}: {self.what}\n"
            f"  at      {self.at}\n"
            f"  got     {self.got}\n"
            f"  wanted  {self.wanted}"
        )
        return breach if self.remedy is None else f"{breach}\n  try     {self.remedy}"


@dataclass(frozen=True)
class Requirement:
    """The demands of one clause at one point; every method raises LossContractError or returns."""

    clause: str
    point: Point

    def same(self, what: str, got: object, wanted: object, remedy: str | None = None) -> None:
        """Demands equality, of shapes and dtypes and counts."""
        if got != wanted:
            self._break(what, str(got), str(wanted), remedy)

    def close(self, what: str, got: Any, wanted: Any, tolerance: float) -> None:
        """Demands |got − wanted| ≤ tolerance everywhere, and the same shapes; trees are fine."""
        for one_got, one_wanted in _pairs(got, wanted):
            self.same(f"the shape of {what}", one_got.shape, one_wanted.shape)
            off = np.abs(one_got - one_wanted)
            # A NaN is off by NaN, which must not pass for small.
            wrong = ~(off <= tolerance)
            if wrong.any():
                worst = np.unravel_index(np.argmax(np.where(wrong, off, -1.0)), off.shape)
                self._break(
                    what,
                    _entry(one_got, worst),
                    f"{_entry(one_wanted, worst)} to within {tolerance:.2g}",
                )

    def finite(self, what: str, got: Any) -> None:
        """Demands that no entry is infinite or NaN."""
        for one in _arrays(got):
            bad = ~np.isfinite(one)
            if bad.any():
                first = tuple(int(i) for i in np.argwhere(bad)[0])
                self._break(what, f"{_entry(one, first)} ({bad.sum()} of {bad.size})", "finite")

    def zero(self, what: str, got: Any) -> None:
        """Demands that every entry is exactly zero."""
        for one in _arrays(got):
            bad = one != 0
            if bad.any():
                first = tuple(int(i) for i in np.argwhere(bad)[0])
                self._break(what, f"{_entry(one, first)} ({bad.sum()} of {bad.size})", "exactly 0")

    def _break(self, what: str, got: str, wanted: str, remedy: str | None = None) -> None:
        raise LossContractError(self.clause, self.point.describe(), what, got, wanted, remedy)


@contextmanager
def require(clause: str, point: Point) -> Iterator[Requirement]:
    """The demands of a clause at a point; an exception of the loss inside is a breach too."""
    try:
        yield Requirement(clause, point)
    except LossContractError:
        raise
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        got = f"{type(error).__name__}: {first_line}"
        what = "the loss, or a transform of it, raises"
        raise LossContractError(clause, point.describe(), what, got, "a result") from error


def _arrays(tree: Any) -> list[np.ndarray]:
    # float64 holds every narrower float exactly, so nothing is lost before the comparison.
    return [np.asarray(leaf).astype(np.float64) for leaf in jax.tree.leaves(tree)]


def _pairs(got: Any, wanted: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield from zip(_arrays(got), _arrays(wanted), strict=True)


def _entry(x: np.ndarray, index: tuple[Any, ...]) -> str:
    place = f" at index {tuple(int(i) for i in index)}" if x.ndim else ""
    return f"{x[index]:.9g}{place}"
