"""Training commands: make the run's directory, train, draw the curves, print the summary."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from xentjax.cli.summary import print_language, print_tabular
from xentjax.jobs.config import ImageConfig, LanguageConfig, TabularConfig
from xentjax.jobs.language import LanguageSummary, train_language
from xentjax.jobs.tabular import train_tabular
from xentjax.jobs.task import Interrupted
from xentjax.plots.canvas import require_matplotlib
from xentjax.plots.curves import Curves, draw_curves
from xentjax.train.loggers import TensorBoardLogger
from xentjax.train.record import Record
from xentjax.train.runs import Run, create_run

Config = TabularConfig | ImageConfig | LanguageConfig


def run_training(config: Config, console: Console) -> None:
    """`xentjax train …`."""
    require_matplotlib()  # before the training, not after it
    with _recorded(config) as run:
        try:
            if isinstance(config, LanguageConfig):
                _train_gpt(config, run, console)
            else:
                _train_rows(config, run, console)
        except Interrupted as stop:
            console.print(
                f"{escape(str(stop))}. The checkpoint is in [bold]{escape(str(run.path))}[/bold]; "
                "the same command with --resume goes on.",
                soft_wrap=True,
            )
            if "SIGINT" in str(stop):
                raise KeyboardInterrupt(" ") from None


def _train_rows(config: TabularConfig | ImageConfig, run: Run, console: Console) -> None:
    with _loggers(config, run) as log:
        summary, records = train_tabular(config, run, console=console, on_record=log)
    model = "CNN" if isinstance(config, ImageConfig) else "MLP"
    draw_curves(
        [Curves(f"seed {seed}", history) for seed, history in records.items()],
        run.path / "curves.png",
        title=f"{model} on {summary.dataset}: test accuracy {summary.test_accuracy:.1%}",
        log_loss=True,
    )
    kept = None if config.training.fast_dev_run else run
    print_tabular(summary, kept, console, model=model)


def _train_gpt(config: LanguageConfig, run: Run, console: Console) -> None:
    def draw(summary: LanguageSummary, records: tuple[Record, ...]) -> None:
        draw_curves(
            [Curves("", records)],
            run.path / "curves.png",
            title=f"GPT on {summary.text}: {summary.bits_per_byte:.2f} bits per held-out byte",
            reference=("unigram entropy", summary.validation_unigram_nats),
            unit=f"nats per {summary.token}",
        )

    with _loggers(config, run) as log:
        observe = None if log is None else functools.partial(log, config.seed)
        summary, _ = train_language(config, run, console=console, on_record=observe, on_tested=draw)
    print_language(summary, None if config.training.fast_dev_run else run, console)


@contextlib.contextmanager
def _loggers(config: Config, run: Run) -> Iterator[Callable[[int, Record], None] | None]:
    """Takes a seed's records where the options want them, besides metrics.jsonl."""
    if not config.run.tensorboard:
        yield None
        return
    with contextlib.ExitStack() as stack:

        @functools.cache
        def logger(seed: int) -> TensorBoardLogger:
            folder = run.path / "tensorboard" / f"seed-{seed}"
            return stack.enter_context(TensorBoardLogger(folder))

        logger(config.seed)  # a missing tensorboardX is named before the training
        yield lambda seed, record: logger(seed)(record)


@contextlib.contextmanager
def _recorded(config: Config) -> Iterator[Run]:
    """A new run's directory, removed again if the job ends before its first record.

    A fast dev run's is a temporary one. A KeyboardInterrupt leaves with a message: where the
    records of the run are.
    """
    if config.training.fast_dev_run:
        with tempfile.TemporaryDirectory() as folder:
            yield Run(Path(folder))
        return
    run = _create(config)
    try:
        yield run
    except KeyboardInterrupt as stop:
        if run.remove_if_unused() or stop.args:
            raise
        raise KeyboardInterrupt(
            f"stopped before the end; what was recorded is in {run.path}, and --resume goes on"
        ) from None
    except BaseException:
        run.remove_if_unused()
        raise


def _create(config: Config) -> Run:
    options = config.run
    try:
        return create_run(
            options.out, config.run_name, overwrite=options.overwrite, resume=options.resume
        )
    except OSError as error:
        raise ValueError(
            f"--out must be a directory that can be written, got {str(options.out)!r}: "
            f"{error.strerror}"
        ) from error
