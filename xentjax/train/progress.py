"""Progress: what a person watching a run wants to see, drawn by rich.

A bar with loss, accuracy, learning rate, throughput and time left; above it one line a validation,
which also appears where there is no terminal to draw a bar in.
"""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xentjax.train.record import Record


class FitProgress:
    """A context manager whose `show` goes to `fit(on_record=…)`.

    Attributes:
        console: where lines may be printed while the bar is drawn.
    """

    def __init__(
        self,
        title: str,
        *,
        steps: int,
        items: str,
        console: Console | None = None,
        validations: bool = True,
    ) -> None:
        """Take what stays the same through the run.

        Args:
            title: what is being trained.
            steps: how many steps there will be.
            items: what throughput counts, such as "examples" or "tokens".
            console: where to draw; standard output by default.
            validations: print a line for each validation.
        """
        self.console = console or Console()
        self._title, self._items, self._validations = title, items, validations
        self._steps, self._tenth, self._validated = max(steps, 1), 0, False
        self._train: Record | None = None
        self._warm: Record | None = None
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            # Without a terminal a bar would only leave its last frame behind.
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task(title, total=steps, figures="compiling …")

    def __enter__(self) -> "FitProgress":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, record: Record) -> None:
        """Draw one record."""
        if record.split == "train":
            # The first call compiles; throughput is counted from its end.
            self._warm = self._warm or record
            self._train = record
            self._progress.update(self._task, completed=record.step, figures=self._figures(record))
            self._print_tenth(record)
        elif self._validations:
            self._validated = True
            self.console.print(self._line(record), highlight=False)

    def _print_tenth(self, record: Record) -> None:
        """A log file with neither bar nor validations still says that training goes on."""
        tenth = 10 * record.step // self._steps
        if tenth > self._tenth and self._validations and not self._validated:
            if not self.console.is_terminal:
                self.console.print(f"step {record.step:>6,}  {self._figures(record)}")
            self._tenth = tenth

    def _figures(self, record: Record) -> str:
        parts = [f"loss {record.loss_nats:.3f} nats"]
        if record.accuracy is not None:
            parts.append(f"accuracy {record.accuracy:.1%}")
        if record.learning_rate is not None:
            parts.append(f"lr {record.learning_rate:.2g}")
        if rate := self._throughput(record):
            parts.append(f"{rate:,.0f} {self._items}/s")
        return " · ".join(parts)

    def _throughput(self, record: Record) -> float | None:
        if self._warm is None or record.seconds <= self._warm.seconds:
            return None
        return (record.items - self._warm.items) / (record.seconds - self._warm.seconds)

    def _line(self, record: Record) -> str:
        """Below 80 columns, so that no terminal breaks it."""
        accuracy = "" if record.accuracy is None else f" {record.accuracy:6.1%}"
        line = f"step {record.step:>6,}  validation {record.loss_nats:.3f} nats{accuracy}"
        if self._train is not None:
            line += f"  [dim]train {self._train.loss_nats:.3f}"
            if rate := self._throughput(self._train):
                line += f"  {rate:,.0f} {self._items}/s"
            line += f"  {record.seconds:.0f} s[/dim]"
        return line
