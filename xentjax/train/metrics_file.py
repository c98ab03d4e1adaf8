"""The metrics file of a run that is resumed: no line of it may lie beyond the step resumed from."""

import json
import os
from pathlib import Path


def trim_metrics(path: Path, step: int) -> int:
    r"""Drop the lines of steps after `step` from a metrics.jsonl, and a last line torn by a kill.

    A run killed after its newest checkpoint has recorded steps that the resumed run takes again;
    without this they would be in the file twice.

    Args:
        path: the file; nothing happens where there is none.
        step: the step the run is resumed from; its own lines stay.

    Returns:
        How many lines were dropped. The file is replaced as a whole, so a kill leaves the old one
        or the new one.

    Raises:
        ValueError: if a line other than the last is not a JSON object with a step; the file stays
            as it is.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "metrics.jsonl"
        ...     _ = path.write_text('{"step": 10}\n{"step": 20}\n{"st')
        ...     dropped = trim_metrics(path, 10)
        ...     dropped, path.read_text()
        (2, '{"step": 10}\n')
    """
    if not path.exists():
        return 0
    lines = path.read_text().splitlines(keepends=True)
    kept = []
    for number, line in enumerate(lines, 1):
        # A line is whole once its end is written.
        if number == len(lines) and not line.endswith("\n"):
            break
        if _step_of(line, path, number) <= step:
            kept.append(line)
    if len(kept) < len(lines):
        new = path.with_name(path.name + ".new")
        new.write_text("".join(kept))
        os.replace(new, path)
    return len(lines) - len(kept)


def _step_of(line: str, path: Path, number: int) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"path: line {number} of {path} is not a record with a step: {line.strip()[:60]!r}; "
            "correct or remove it, then resume again"
        ) from error
