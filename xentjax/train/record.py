"""Records: what is known after some step, for files, progress bars, plots and stopping rules."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known after some step about one split of the data.

    Attributes:
        step: optimizer steps taken, of all parts of a resumed run.
        split: "train", where the figures are means over the steps since the last record and
            dropout was on, or "validation", where they are exact.
        loss_nats: mean loss, in nats where the loss is a cross-entropy; NaN where every step since
            the last record was skipped.
        accuracy: share predicted right, or None where nobody counted.
        learning_rate: of the last step taken; None before the first and where nobody said.
        seconds: since the run began, compilation included.
        items: how many examples or tokens have been trained on so far.
        grad_norm: the largest gradient norm since the last record; None for a validation.
        skipped: steps since the last record whose update was skipped as not finite.
    """

    step: int
    split: str
    loss_nats: float
    accuracy: float | None
    learning_rate: float | None
    seconds: float
    items: int
    grad_norm: float | None = None
    skipped: int = 0

    def to_metrics(self) -> dict[str, Any]:
        """The line of metrics.jsonl; no loss is null."""
        loss = None if math.isnan(self.loss_nats) else self.loss_nats
        return dataclasses.asdict(self) | {"loss_nats": loss}

    @classmethod
    def from_metrics(cls, line: Mapping[str, Any]) -> "Record":
        """Restores the record from its line of metrics.jsonl."""
        loss = math.nan if line["loss_nats"] is None else line["loss_nats"]
        return cls(**{**line, "loss_nats": loss})


def read_records(path: Path, *, until: int | None = None) -> tuple[Record, ...]:
    """The records of a metrics.jsonl, those from before a resumption included.

    Args:
        path: the file; one that is missing holds nothing.
        until: up to this step; None for all.
    """
    if not path.exists():
        return ()
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    records = [Record.from_metrics(json.loads(line)) for line in lines]
    return tuple(record for record in records if until is None or record.step <= until)
