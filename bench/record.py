"""A record: what one bench measured, where and how thoroughly, as one JSON file.

`bench/results/<name>.json` holds one record; all benches share this one form.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contest import Contest
from xentjax.timing import Environment

RESULTS = Path(__file__).parent / "results"
SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """The contests of one bench.

    Attributes:
        bench: its name.
        environment: device, host, versions.
        full: whether all cases ran, or what fits `make bench`.
        seconds: what the whole bench took, None where nobody counted.
        absent: libraries that would have taken part → why they did not.
        contests: the rows.
        settings: what else the figures depend on, such as the threads of torch.
        failed: rows that were not timed, as their contestants disagree or xentjax failed → how.
    """

    bench: str
    environment: Environment
    full: bool
    seconds: float | None
    contests: tuple[Contest, ...]
    absent: dict[str, str] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        keys = [contest.key for contest in self.contests]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"record {self.bench!r} has these rows twice: {twice}")

    @property
    def rows(self) -> dict[str, Contest]:
        """The contests by key."""
        return {contest.key: contest for contest in self.contests}

    def to_json(self) -> str:
        """JSON text; lists of numbers stand on one line."""
        fields = {
            "schema": SCHEMA,
            "bench": self.bench,
            "environment": dataclasses.asdict(self.environment),
            "full": self.full,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "absent": self.absent,
            "settings": self.settings,
            "failed": self.failed,
            "contests": [contest.to_dict() for contest in self.contests],
        }
        text = json.dumps(fields, indent=1, ensure_ascii=False)
        on_one_line = re.sub(r"\[[-+0-9.e,\s]+\]", lambda m: " ".join(m[0].split()), text)
        return on_one_line + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """The record `to_json` wrote.

        Raises:
            ValueError: it is of another form.
        """
        fields = json.loads(text)
        found = fields.pop("schema", None) if isinstance(fields, dict) else None
        if found != SCHEMA:
            raise ValueError(f"no record of a bench: schema is {found!r}, wanted {SCHEMA}")
        fields["environment"] = Environment(**fields["environment"])
        fields["contests"] = tuple(Contest.from_dict(each) for each in fields["contests"])
        return cls(**fields)

    def write(self, path: Path) -> None:
        """Writes the JSON and makes the folder if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), "utf-8")

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Reads one file.

        Raises:
            ValueError: it holds no record.
        """
        try:
            return cls.from_json(path.read_text("utf-8"))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: {error}") from error


def records_on_file(names: Iterable[str], folder: Path = RESULTS) -> dict[str, Record]:
    """The records that are there, in the order of the names."""
    paths = {name: folder / f"{name}.json" for name in names}
    return {name: Record.read(path) for name, path in paths.items() if path.exists()}
