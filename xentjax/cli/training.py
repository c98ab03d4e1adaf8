"""Training commands: make the run's directory, train, draw the curves, print the summary."""

from rich.console import Console

from xentjax.cli.plots import Curves, draw_curves, require_matplotlib
from xentjax.cli.summary import print_language, print_tabular
from xentjax.train.config import LanguageConfig, TabularConfig
from xentjax.train.language import LanguageSummary, train_language
from xentjax.train.loop import Record
from xentjax.train.runs import create_run
from xentjax.train.tabular import train_tabular


def run_tabular(config: TabularConfig, console: Console) -> None:
    """`xentjax train digits`."""
    require_matplotlib()  # before the training, not after it
    run = create_run(config.out, config.run_name, overwrite=config.overwrite)
    summary, records = train_tabular(config, run, console=console)
    curves = [Curves(f"seed {seed}", history) for seed, history in records.items()]
    draw_curves(
        curves,
        run.path / "curves.png",
        title=f"MLP on {summary.dataset}: test accuracy {summary.test_accuracy:.1%}",
        log_loss=True,
    )
    print_tabular(summary, run, console)


def run_gpt(config: LanguageConfig, console: Console) -> None:
    """`xentjax train gpt`."""
    require_matplotlib()
    run = create_run(config.out, config.run_name, overwrite=config.overwrite)

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
