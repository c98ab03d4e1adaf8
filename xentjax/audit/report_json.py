"""A report as JSON: every number, interval, verdict and word of it; the pictures are left out.

JSON has no NaN and no infinity. Such a number is null, and `not_finite` says where and what it was.
"""

import dataclasses
import json
import math
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.audit.report import Report
from xentjax.audit.section import ColouredText, Grid, Measure, Picture, Section

FORMAT, SCHEMA = "xentjax-audit", 1
_LEFT_OUT = (Picture, "svg")


def write_json(report: Report, path: Path) -> None:
    """Writes the report for programs to read; `write_html` is for people.

    Args:
        report: what was found.
        path: the file to write.
    """
    path.write_text(json.dumps(report_to_json(report), indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Report:
    """Reads what `write_json` wrote; pictures come back without their drawing.

    Raises:
        ValueError: if the file is none, or of a newer schema.
    """
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is no audit: it has no format {FORMAT!r}")
    if content["schema"] != SCHEMA:
        raise ValueError(f"{path} has schema {content['schema']!r}, this version reads {SCHEMA}")
    return report_from_json(content)


def report_to_json(report: Report) -> dict[str, Any]:
    """The report as dicts, lists, texts and finite numbers."""
    odd: dict[str, str] = {}
    content = _plain(report, "", odd)
    return {"format": FORMAT, "schema": SCHEMA, **content, "not_finite": odd}


def report_from_json(content: Mapping[str, Any]) -> Report:
    """The report that `report_to_json` was given, but for the drawings and types of cells."""
    whole = _restored({k: v for k, v in content.items() if k in _fields(Report)}, "", content)
    return Report(**whole | {"sections": [_section(each) for each in whole["sections"]]})


def _plain(value: Any, place: str, odd: dict[str, str]) -> Any:
    if dataclasses.is_dataclass(value):
        names = [name for name in _fields(value) if (type(value), name) != _LEFT_OUT]
        value = {name: getattr(value, name) for name in names}
    if isinstance(value, Mapping):
        return {
            str(k): _plain(v, f"{place}.{k}" if place else str(k), odd) for k, v in value.items()
        }
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each, f"{place}[{i}]", odd) for i, each in enumerate(value)]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if not isinstance(value, numbers.Real):
        return str(value)
    if math.isfinite(value):
        return float(value)
    odd[place] = str(float(value))
    return None


def _restored(value: Any, place: str, content: Mapping[str, Any]) -> Any:
    """The value with the numbers that were not finite back in their places."""
    if isinstance(value, Mapping):
        return {k: _restored(v, f"{place}.{k}" if place else k, content) for k, v in value.items()}
    if isinstance(value, list):
        return [_restored(each, f"{place}[{i}]", content) for i, each in enumerate(value)]
    odd = content["not_finite"]
    return float(odd[place]) if value is None and place in odd else value


def _section(content: dict[str, Any]) -> Section:
    texts = [
        each | {"pieces": [tuple(piece) for piece in each["pieces"]]} for each in content["texts"]
    ]
    return Section(
        **content
        | {
            "measures": [Measure(**each) for each in content["measures"]],
            "grids": [Grid(**each) for each in content["grids"]],
            "pictures": [Picture(**each, svg="") for each in content["pictures"]],
            "texts": [ColouredText(**each) for each in texts],
        }
    )


def _fields(record: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(record)]
