"""The manifest of a checkpoint: its arrays' names and checksums, and what goes with them.

It is JSON that ends in a checksum of its own, so damage to it or to an array is found when it is
read, and a checkpoint of another model or of another config is refused with the difference shown.
"""

import dataclasses
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xentjax.train.damage import DamageError, reason
from xentjax.train.leaves import named_leaves

_FORMAT = 1
_ABSENT = "(absent)"
_MOST_LINES = 12


class ConfigMismatchError(ValueError):
    """The run's config is not the one the checkpoint was made with."""


def checksum(array: Any) -> int | None:
    """CRC-32 of an array's bytes, or None where this process does not see all of them."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        if not array.is_fully_replicated:
            return None
        array = array.addressable_data(0)
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def make_manifest(
    state: Any,
    arrays: Mapping[str, Any],
    *,
    progress: Mapping[str, Any],
    loss: float | None,
    config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Describes a checkpoint.

    Args:
        state: a pytree of arrays.
        arrays: its named leaves, keys as integers: what is written to files.
        progress: what else a resumed loop must know, as JSON.
        loss: validation loss of this state in nats, or None.
        config: the run's options, as JSON, or None.

    Raises:
        TypeError: if progress is not JSON.
    """
    leaves = {
        name: {**_kind(leaf), "crc32": checksum(arrays[name])}
        for name, leaf in named_leaves(state).items()
    }
    content = {"format": _FORMAT, "progress": progress, "loss": loss, "config": config}
    try:
        # As it will be read: tuples become lists.
        content = json.loads(json.dumps({**content, "leaves": leaves}))
    except TypeError as error:
        raise TypeError(
            f"progress: cannot be kept as JSON: {error}; a data iterator's get_state() must "
            "return numbers, text, lists and dicts of these"
        ) from error
    return content | {"crc32": _own_checksum(content)}


def read_manifest(file: Path) -> dict[str, Any]:
    """Reads what `make_manifest` made.

    Raises:
        DamageError: if the file is not what was written.
    """
    try:
        content = json.loads(file.read_bytes())
        written = content.pop("crc32")
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise DamageError(f"its manifest cannot be read: {reason(error)}") from error
    if written != _own_checksum(content):
        raise DamageError("its manifest is damaged: the checksum does not match")
    if content["format"] != _FORMAT:
        raise DamageError(f"its format is {content['format']}, and this version reads {_FORMAT}")
    return content


def check_arrays(manifest: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Compares the checksums.

    Raises:
        DamageError: naming the arrays that are not what was written.
    """
    damaged = []
    for name, leaf in manifest["leaves"].items():
        found = checksum(arrays[name])
        if None not in (found, leaf["crc32"]) and found != leaf["crc32"]:
            damaged.append(name)
    if damaged:
        raise DamageError(f"the checksum does not match of {_lines(damaged, ', ')}")


def check_fits(manifest: Mapping[str, Any], like: Any, path: os.PathLike[str]) -> None:
    """Compares the arrays' names, shapes and dtypes with those of a state.

    Raises:
        ValueError: showing the differences.
    """
    wanted = {name: _text(_kind(leaf)) for name, leaf in named_leaves(like).items()}
    got = {name: _text(leaf) for name, leaf in manifest["leaves"].items()}
    lines = [
        f"{name}: {got.get(name, _ABSENT)} in the checkpoint, {wanted.get(name, _ABSENT)} wanted"
        for name in sorted(wanted | got)
        if got.get(name) != wanted.get(name)
    ]
    if lines:
        raise ValueError(
            f"the checkpoint {os.fspath(path)} is of another model or optimizer:\n  "
            + _lines(lines, "\n  ")
            + "\nmake the state as the run that wrote it did, or choose another directory"
        )


def check_config(
    manifest: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    may_differ: Iterable[str],
    path: os.PathLike[str],
) -> None:
    """Compares the config a checkpoint was made with to that of the run that goes on.

    Args:
        manifest: of the checkpoint.
        config: of the run; None, here or in the manifest, compares nothing.
        may_differ: names that do not matter; "optimizer" stands for "optimizer.name" too.
        path: of the checkpoint, for the message.

    Raises:
        ConfigMismatchError: showing the differences.
    """
    if config is None or manifest["config"] is None:
        return
    free = tuple(may_differ)
    was, now = _flat(manifest["config"]), _flat(config)
    lines = [
        f"{name}: {was.get(name, _ABSENT)} in the checkpoint, {now.get(name, _ABSENT)} now"
        for name in sorted(was | now)
        if was.get(name, _ABSENT) != now.get(name, _ABSENT)
        and not any(name == key or name.startswith(key + ".") for key in free)
    ]
    if lines:
        raise ConfigMismatchError(
            f"the config differs from that of the checkpoint {os.fspath(path)}:\n  "
            + "\n  ".join(lines)
            + "\ngo on with the same options, or begin a new run"
        )


def plain_config(config: Any) -> dict[str, Any] | None:
    """A config as JSON keeps it: dataclasses become dicts, paths text, tuples lists.

    Raises:
        TypeError: if something in it is neither of these nor a number, text, list or dict.
    """
    if config is None:
        return None

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise TypeError(f"config: cannot keep a {type(value).__name__} as JSON: {value!r}")

    return json.loads(json.dumps(config, default=plain))


def _kind(leaf: Any) -> dict[str, Any]:
    return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def _text(leaf: Mapping[str, Any]) -> str:
    return f"{leaf['dtype']}[{', '.join(map(str, leaf['shape']))}]"


def _own_checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _lines(lines: list[str], separator: str) -> str:
    more = len(lines) - _MOST_LINES
    return separator.join(lines[:_MOST_LINES]) + (f"{separator}and {more} more" if more > 0 else "")
