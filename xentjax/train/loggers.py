"""Loggers: where records go besides metrics.jsonl, for those who watch runs with other tools."""

from pathlib import Path

from xentjax.train.record import Record


class TensorBoardLogger:
    """Writes the figures of each record as TensorBoard scalars, by tensorboardX.

    A context manager; the object itself goes to `fit(on_record=…)`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
        ...     with TensorBoardLogger(Path(folder)) as log:
        ...         log(Record(10, "train", 0.5, 0.9, 1e-3, 1.0, 640))
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder's event file.

        Args:
            folder: one a run; made when missing.

        Raises:
            ImportError: naming the extra, if tensorboardX is missing.
        """
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError(
                'TensorBoard files are written by tensorboardX: pip install "xentjax[log]"'
            ) from error
        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> "TensorBoardLogger":
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def __call__(self, record: Record) -> None:
        """Write one record: `loss/train`, `accuracy/validation`, `learning_rate`, …"""
        figures = {f"loss/{record.split}": record.loss_nats}
        if record.accuracy is not None:
            figures[f"accuracy/{record.split}"] = record.accuracy
        if record.split == "train":
            figures |= {
                name: value
                for name in ("learning_rate", "grad_norm", "skipped")
                if (value := getattr(record, name)) is not None
            }
        for name, value in figures.items():
            self._writer.add_scalar(name, value, record.step)
