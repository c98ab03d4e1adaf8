"""Training commands: make the run's directory, train, draw the curves, print the summary."""

import contextlib
from collections.abc import Iterator

from rich.console import Console

from xentjax.cli.plots import Curves, draw_curves, require_matplotlib
from xentjax.cli.summary import print_language, print_tabular
from xentjax.train.config import LanguageConfig, TabularConfig
from xentjax.train.language import LanguageSummary, train_language
from xentjax.train.record import Record
from xentjax.train.runs import Run, create_run
from xentjax.train.tabular import train_tabular


def run_tabular(config: TabularConfig, console: Console) -> None:
    """`xentjax train digits`."""
    require_matplotlib()  # before the training, not after it
    with _recorded(config) as run:
        summary, records = train_tabular(config, run, console=console)
        draw_curves(
            [Curves(f"seed {seed}", history) for seed, history in records.items()],
            run.path / "curves.png",
            title=f"MLP on {summary.dataset}: test accuracy {summary.test_accuracy:.1%}",
            log_loss=True,
        )
    print_tabular(summary, run, console)


def run_gpt(config: LanguageConfig, console: Console) -> None:
    """`xentjax train gpt`."""
    require_matplotlib()
    with _recorded(config) as run:

        def draw(summary: LanguageSummary, records: tuple[Record, ...]) -> None:
            draw_curves(
                [Curves("", records)],
                run.path / "curves.png",
                title=f"GPT on {summary.text}: {summary.bits_per_byte:.2f} bits per held-out byte",
                reference=("unigram entropy", summary.validation_unigram_nats),
                unit=f"nats per {summary.token}",
            )

        summary, _ = train_language(config, run, console=console, on_tested=draw)
    print_language(summary, run, console)


@contextlib.contextmanager
def _recorded(config: TabularConfig | LanguageConfig) -> Iterator[Run]:
    """A new run's directory, removed again if the job ends before its first record.

    A KeyboardInterrupt leaves with a message: where the records of the run are.
    """
    run = _create(config)
    try:
        yield run
    except KeyboardInterrupt:
        if run.remove_if_unused():
            raise
        raise KeyboardInterrupt(
            f"stopped before the end; what was recorded is in {run.path}"
        ) from None
    except BaseException:
        run.remove_if_unused()
        raise


def _create(config: TabularConfig | LanguageConfig) -> Run:
    try:
        return create_run(config.out, config.run_name, overwrite=config.overwrite)
    except OSError as error:
        raise ValueError(
            f"--out must be a directory that can be written, got {str(config.out)!r}: "
            f"{error.strerror}"
        ) from error
