"""Damage: what can be wrong with checkpoints, on the way to the disk and on the way back."""

import errno
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class DamageError(ValueError):
    """A checkpoint is not what was written; the message says why."""


class CorruptCheckpointWarning(UserWarning):
    """A checkpoint is damaged or was never finished, and is not used."""


class CorruptCheckpointError(ValueError):
    """There are checkpoints, and each of them is damaged."""


class CheckpointWriteError(OSError):
    """A checkpoint could not be written; those before it are whole."""


class Skipped(NamedTuple):
    """A checkpoint that is not used, and why."""

    path: Path
    why: str

    def warn(self, instead: str) -> None:
        """Names it in a `CorruptCheckpointWarning`, with what is done instead."""
        warnings.warn(
            f"checkpoint {self.path} is not used: {self.why}; {instead}",
            CorruptCheckpointWarning,
            stacklevel=3,
        )


def reason(error: BaseException) -> str:
    """The kind and the first line of an error, which may have hundreds."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def none_sound(directory: Path, skipped: Sequence[Skipped]) -> CorruptCheckpointError:
    """The error where nothing is left to restore, with what is wrong with each."""
    return CorruptCheckpointError(
        f"none of the checkpoints in {directory} can be used:\n  "
        + "\n  ".join(f"{damaged.path.name}: {damaged.why}" for damaged in skipped)
        + "\nremove them to begin anew"
    )


def write_error(error: BaseException, directory: Path, newest: int | None) -> CheckpointWriteError:
    """The error of a write that failed, saying where, why and what is left.

    Args:
        error: as it was raised.
        directory: of all checkpoints.
        newest: the step of the newest whole one, or None.
    """
    number = _errno(error)
    why = f"the disk is full{_room(directory)}" if number == errno.ENOSPC else reason(error)
    advice = "; free some space, then resume" if number == errno.ENOSPC else ""
    left = "none before it is whole" if newest is None else f"the newest whole one is {newest}"
    return CheckpointWriteError(
        number, f"a checkpoint could not be written to {directory}: {why}{advice}; {left}"
    )


def _errno(error: BaseException | None) -> int:
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        # The storage library below Orbax reports in text.
        if "No space left" in str(error) or "ENOSPC" in str(error):
            return errno.ENOSPC
        error = error.__cause__ or error.__context__
    return errno.EIO


def _room(directory: Path) -> str:
    try:
        return f", {shutil.disk_usage(directory).free / 1e6:,.1f} MB are free"
    except OSError:
        return ""
