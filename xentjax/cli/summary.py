"""Summaries: the few figures worth reading at the end of a run, as tables in the terminal."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from xentjax.jobs.language import LanguageSummary
from xentjax.jobs.tabular import TabularSummary
from xentjax.train.runs import Run


def print_tabular(
    summary: TabularSummary, run: Run | None, console: Console, *, model: str = "MLP"
) -> None:
    """One row a seed, the mean below, and how far the mean can be trusted."""
    many = len(summary.seeds) > 1
    table = Table(
        title=f"{model} on {summary.dataset}, {summary.parameters:,} parameters",
        box=box.SIMPLE_HEAD,
        show_footer=many,
        title_justify="left",
    )
    table.add_column("seed", footer="mean")
    table.add_column("best step", justify="right")
    table.add_column("test loss, nats", justify="right", footer=f"{summary.test_loss_nats:.4f}")
    table.add_column("in bits", justify="right", footer=f"{summary.test_loss_bits:.4f}")
    table.add_column("test accuracy", justify="right", footer=_mean_accuracy(summary))
    for seed in summary.seeds:
        table.add_row(
            str(seed.seed),
            f"{seed.best_step} of {summary.steps}",
            f"{seed.test_loss_nats:.4f}",
            f"{seed.test_loss_bits:.4f}",
            f"{seed.test_accuracy:.2%}",
        )
    console.print(table)
    rows, (low, high) = summary.rows, summary.test_accuracy_interval
    note = (
        f"{rows['train']} training, {rows['validation']} validation and {rows['test']} test rows. "
        f"So few test rows leave an accuracy between {low:.1%} and {high:.1%} (95 %)"
    )
    if many:
        note += "; the ± above is the standard deviation over the seeds"
    console.print(f"{note}.", highlight=False)
    _print_end(run, summary.seconds, console)


def print_language(summary: LanguageSummary, run: Run | None, console: Console) -> None:
    """The model beside its baselines on the same bytes, and a sample of what it writes."""
    size = summary.split_bytes
    table = Table(
        title=f"Bits per byte on the last {size['test']:,} bytes of {escape(summary.text)}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    table.add_column("")
    table.add_column("held-out bytes alone", justify="right")
    table.add_column("after the training text", justify="right")
    table.add_row("unigram model", "", f"{summary.unigram_bits_per_byte:.3f}")
    for name, figures in summary.compressors.items():
        table.add_row(name, f"{figures.alone:.3f}", f"{figures.primed:.3f}")
    model = f"GPT, {summary.parameters:,} parameters"
    table.add_row(f"[bold]{model}", "", f"[bold]{summary.bits_per_byte:.3f}")
    console.print(table)
    console.print(
        f"test loss {summary.test_loss_nats:.3f} nats = {summary.test_loss_bits:.3f} bits per "
        f"{summary.token} (unigram entropy {summary.test_unigram_nats:.3f} nats), "
        f"accuracy {summary.test_accuracy:.1%}\n"
        f"validation loss {summary.validation_loss_nats:.3f} nats "
        f"(unigram entropy {summary.validation_unigram_nats:.3f} nats), "
        f"best at step {summary.best_step} of {summary.steps}",
        highlight=False,
    )
    console.print(
        "[dim]After the training text, xz can copy any passage of it; the GPT sees "
        f"{summary.context} tokens and has only its parameters to remember the rest by.[/dim]",
        highlight=False,
    )
    if summary.sample:
        console.print(Panel(escape(summary.sample), title="a sample", title_align="left"))
    _print_end(run, summary.seconds, console)


def _mean_accuracy(summary: TabularSummary) -> str:
    spread = summary.test_accuracy_std
    return f"{summary.test_accuracy:.2%}" + ("" if spread is None else f" ± {spread:.2%}")


def _print_end(run: Run | None, seconds: float, console: Console) -> None:
    kept = (
        "Everything fits together; of a fast dev run nothing is kept."
        if run is None
        else f"Curves and figures are in [bold]{escape(str(run.path))}[/bold]."
    )
    console.print(f"{seconds:.0f} s. {kept}")
