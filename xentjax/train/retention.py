"""Retention: which checkpoints stay on disk, and which may go once a newer one is whole."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xentjax.train.damage import DamageError
from xentjax.train.manifest import read_manifest


@dataclasses.dataclass(frozen=True)
class Kept:
    """What retention must know of a checkpoint.

    Attributes:
        step: its step.
        loss: its validation loss in nats, or None if this very state was not validated.
        best_step: the step of the best validation up to then, or None if there was none.
    """

    step: int
    loss: float | None
    best_step: int | None

    @classmethod
    def from_progress(cls, step: int, progress: Mapping[str, Any], loss: float | None) -> "Kept":
        """Reads `best_step` off a loop's progress.

        A loss that only equals an earlier best counts as none: the best of equals is the first,
        as in `train_loop`.
        """
        best = progress.get("best")
        if best is None:
            return cls(step, loss, None)
        nats, best_step = best
        return cls(step, None if loss == nats and step != best_step else loss, int(best_step))


def steps_to_keep(checkpoints: Sequence[Kept], *, last: int, best: int) -> set[int]:
    """The steps of the newest, of the best, and of those that the newest call their best.

    A run that falls back from a damaged newest checkpoint to the one before it needs what was the
    best at that time, so a checkpoint lives as long as one of the newest refers to it.

    Args:
        checkpoints: all there are.
        last: how many of the newest to keep.
        best: how many of those with the lowest validation loss to keep.

    Example:
        >>> steps_to_keep([Kept(1, 0.5, 1), Kept(2, 0.4, 2), Kept(3, 0.6, 2)], last=1, best=1)
        {2, 3}
    """
    newest = sorted(checkpoints, key=lambda kept: kept.step)[-last:]
    validated = [(kept.loss, kept.step) for kept in checkpoints if kept.loss is not None]
    steps = {kept.step for kept in newest} | {step for _, step in sorted(validated)[:best]}
    referred = {kept.best_step for kept in newest if kept.best_step is not None}
    return steps | (referred & {kept.step for kept in checkpoints})


class Retention:
    """What a checkpoint manager asks which checkpoints to preserve, once a newer one is whole.

    It has the shape of Orbax's `PreservationPolicy`.
    """

    def __init__(self, last: int, best: int) -> None:
        """Takes how many of the newest and of the best to keep."""
        self._last, self._best = last, best
        self._known: dict[int, Kept] = {}

    def add(self, step: int, manifest: Mapping[str, Any]) -> None:
        """Notes a checkpoint by its manifest."""
        self._known[step] = Kept.from_progress(step, manifest["progress"], manifest["loss"])

    def read(self, step: int, file: Path) -> None:
        """Notes a checkpoint on disk; of one whose manifest is damaged only the step counts."""
        with contextlib.suppress(DamageError):
            self.add(step, read_manifest(file))

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Whether to preserve each."""
        del context
        steps = [info.step for info in checkpoints]
        known = [self._known.get(step, Kept(step, None, None)) for step in steps]
        keep = steps_to_keep(known, last=self._last, best=self._best)
        return [step in keep for step in steps]
