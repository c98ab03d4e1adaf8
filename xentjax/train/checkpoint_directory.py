"""The directory of a run's checkpoints: which are whole, and which a kill has cut off.

checkpoints/
  1200/arrays/      every array of the state by its path
  1200/manifest/    progress, config, shapes, and a checksum of each array, as JSON
  1300.orbax-checkpoint-tmp/    being written, or left so by a kill; a rename makes it whole
"""

import re
from pathlib import Path

from xentjax.train.damage import Skipped

_UNFINISHED = re.compile(r"(\d+)\.orbax-checkpoint-tmp")


def whole_steps(directory: Path) -> list[int]:
    """The steps of all checkpoints whose write was finished, in order."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())


def unfinished(directory: Path, *, after: int) -> list[Skipped]:
    """Checkpoints of steps beyond `after` whose write was not finished."""
    if not directory.is_dir():
        return []
    found = [(_UNFINISHED.match(path.name), path) for path in sorted(directory.iterdir())]
    return [
        Skipped(path, "its write was not finished")
        for match, path in found
        if match and int(match[1]) > after
    ]


def arrays_of(checkpoint: Path) -> Path:
    """Where a checkpoint has its arrays."""
    return checkpoint / "arrays"


def manifest_of(checkpoint: Path) -> Path:
    """The file in which a checkpoint has its manifest, as Orbax's JSON handler calls it."""
    return checkpoint / "manifest" / "metadata"
