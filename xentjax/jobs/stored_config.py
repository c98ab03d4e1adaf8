"""config.json of a run, read back as the options it was started with.

A file that a person or another version wrote is checked value by value: what no command line
would have taken is refused with the option's name.
"""

import difflib
import json
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from xentjax.jobs.config import (
    ImageConfig,
    LanguageConfig,
    RunOptions,
    TabularConfig,
    TrainingOptions,
)

Config: TypeAlias = TabularConfig | ImageConfig | LanguageConfig
_CONFIGS: dict[str, type[Config]] = {
    "digits": TabularConfig,
    "cnn": ImageConfig,
    "gpt": LanguageConfig,
}


def read_config(path: Path) -> Config:
    """The options that a run was started with.

    Args:
        path: the run's directory.

    Raises:
        ValueError: if it is no directory of a training, or its options are not known.
    """
    file = path / "config.json"
    if not file.is_file():
        what = "has no config.json" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} is no run: it {what}{_nearby(path)}")
    content = read_object(file)
    if "search" in content:
        raise ValueError(
            f"{path} is a sweep, which keeps no model; train its best row with xentjax train digits"
        )
    if "training" not in content:
        raise ValueError(
            f"{path} is of a version that kept no checkpoints; train it again with xentjax train"
        )
    job = content.pop("job", None) or _job_of(content)
    if job not in _CONFIGS:
        raise ValueError(f"{file}: the job {job!r} is not known, only {', '.join(_CONFIGS)}")
    try:
        nested = {
            "training": _options(TrainingOptions, content.pop("training")),
            "run": _options(RunOptions, content.pop("run", {})),
        }
        return _options(_CONFIGS[job], content, nested)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def read_object(file: Path) -> dict[str, Any]:
    """What a JSON file of a run holds.

    Raises:
        ValueError: if it is missing, no JSON, or no object.
    """
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise ValueError(f"{file} is missing; train it again") from None
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}; train it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} is damaged: it holds no object; train it again")
    return content


def _job_of(content: Mapping[str, Any]) -> str:
    """The job of a run from before config.json named it, by an option that is its own."""
    return "gpt" if "block" in content else "cnn" if "widths" in content else "digits"


def _options(kind: type[Any], content: Any, nested: Mapping[str, Any] | None = None) -> Any:
    """An options dataclass from its JSON, every value of the type that its field has."""
    if not isinstance(content, dict):
        raise ValueError(f"{kind.__name__} must be an object of options, got {content!r}")
    hints = get_type_hints(kind)
    values = dict(nested or {})
    for name, value in content.items():
        if name not in hints:
            raise ValueError(
                f"there is no option {name!r}; this run is of another version: train it again"
            )
        values[name] = _value(name, value, hints[name])
    return kind(**values)


def _value(name: str, value: Any, annotation: Any) -> Any:
    for choice in _choices(annotation):
        if get_origin(choice) is Literal and value in get_args(choice):
            return value
        if get_origin(choice) is tuple and isinstance(value, list):
            return tuple(_value(name, item, get_args(choice)[0]) for item in value)
        if choice is Path and isinstance(value, str):
            return Path(value)
        if choice is float and type(value) in (int, float):
            return float(value)
        if isinstance(choice, type) and type(value) is choice:
            return value
    wanted = " or ".join(_said(choice) for choice in _choices(annotation))
    raise ValueError(f"{name} must be {wanted}, got {value!r}; restore it or train again")


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)


def _said(choice: Any) -> str:
    if get_origin(choice) is Literal:
        return "one of " + ", ".join(map(str, get_args(choice)))
    if get_origin(choice) is tuple:
        return f"a list of {get_args(choice)[0].__name__}"
    return "null" if choice is type(None) else choice.__name__


def _nearby(path: Path) -> str:
    """Runs in the directory, beside it and in runs/, the likest names first."""
    found = sorted(set(_runs_in([path, path.parent, Path("runs")])))
    if not found:
        return "; xentjax train digits makes one"
    likest = difflib.get_close_matches(str(path), found, n=len(found), cutoff=0)
    return f"; runs nearby: {', '.join(likest[:5])}"


def _runs_in(folders: Iterable[Path]) -> Iterable[str]:
    for folder in folders:
        if folder.is_dir():
            yield from (str(file.parent) for file in folder.glob("*/config.json"))
