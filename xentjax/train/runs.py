"""Runs: a directory for each training run, with all that is needed to trace a figure back.

    runs/digits/
      config.json        every option the run was started with
      environment.json   versions, device, seeds, and the SHA-256 of the data
      seed-0/            of each seed, where there may be several; else these lie in the run's own
        metrics.jsonl    one line a record: step, split, loss_nats, accuracy, learning_rate, …
        checkpoints/     to resume from, and the best
      summary.json       the figures printed at the end
      curves.png         drawn by the command line
      canaries.json      secrets planted in the text, where there are any
      audit.html, .json  what `xentjax audit` found

A finished run is never overwritten unasked: the second `digits` goes to `runs/digits-2`.
"""

import dataclasses
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

_WRITTEN = (
    *("config.json", "environment.json", "metrics.jsonl", "summary.json", "sweep.json"),
    *("curves.png", "heat_map.png", "parallel.png"),
    *("canaries.json", "audit.html", "audit.json"),
)
_WRITTEN_FOLDERS = ("checkpoints", "tensorboard", "seed-*")
_BEFORE_TRAINING = frozenset({"config.json", "environment.json", "canaries.json"})
_VERSIONS = ("xentjax", "jax", "jaxlib", "flax", "optax", "grain", "numpy")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's directory and how to write into it.

    Attributes:
        path: the directory, which exists.
    """

    path: Path

    @property
    def name(self) -> str:
        """The directory's own name, suffix included."""
        return self.path.name

    def write_json(self, file: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file; dataclasses and paths inside are converted, NaN is refused."""
        text = json.dumps(content, indent=2, default=_plain, allow_nan=False)
        (self.path / file).write_text(text + "\n")

    def remove_if_unused(self) -> bool:
        """Remove the directory where nothing but how the run was to start is in it.

        Returns:
            Whether it was removed, so that the next run gets its name.
        """
        if not {path.name for path in self.path.iterdir()} <= _BEFORE_TRAINING:
            return False
        for file in _BEFORE_TRAINING:
            (self.path / file).unlink(missing_ok=True)
        self.path.rmdir()
        return True


def create_run(root: Path, name: str, *, overwrite: bool = False, resume: bool = False) -> Run:
    """Make the directory of a new run, or find that of the run to go on with.

    Args:
        root: where runs live; made when missing.
        name: the wanted name, one path component.
        overwrite: reuse a directory of that name, deleting the files a run writes and nothing
            else, instead of taking the first free one of name-2, name-3, …
        resume: the directory of exactly that name, made when missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [create_run(Path(folder), "digits").name for _ in range(3)]
        ['digits', 'digits-2', 'digits-3']
    """
    if name in ("", ".", "..") or Path(name).name != name:
        raise ValueError(f"name must be one directory name, without '/', got {name!r}")
    root.mkdir(parents=True, exist_ok=True)
    if overwrite or resume:
        path = root / name
        path.mkdir(exist_ok=True)
        if overwrite:
            _remove_written(path)
        return Run(path)
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            # mkdir is the test: of two runs started at once, one gets the next number.
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return Run(path)


def _remove_written(path: Path) -> None:
    for file in _WRITTEN:
        (path / file).unlink(missing_ok=True)
    for pattern in _WRITTEN_FOLDERS:
        for folder in path.glob(pattern):
            shutil.rmtree(folder)


def environment(*, seeds: Sequence[int], data_name: str, data_sha256: str) -> dict[str, Any]:
    """What a figure depends on besides the options: versions, device, seeds and data.

    Args:
        seeds: every seed the run uses.
        data_name: what the data is called.
        data_sha256: the hash of what was loaded.
    """
    device = jax.devices()[0]
    return {
        "versions": {name: _version(name) for name in _VERSIONS},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
        },
        "seeds": list(seeds),
        "data": {"name": data_name, "sha256": data_sha256},
    }


def _version(package: str) -> str:
    if package == "xentjax":
        from xentjax import __version__

        return __version__
    return metadata.version(package)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"content: cannot write a {type(value).__name__} as JSON: {value!r}")
