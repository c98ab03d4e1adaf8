"""`xentjax sweep digits`: many configurations trained together, as a table and two pictures."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from xentjax.jobs.sweep_config import SweepConfig
from xentjax.jobs.tabular_sweep import sweep_tabular
from xentjax.plots.canvas import require_matplotlib
from xentjax.plots.sweep import draw_heat_map, draw_parallel_coordinates
from xentjax.search.sweep_result import SweepResult, SweepRow
from xentjax.train.runs import Run, create_run

_NUMBERS = ("learning_rate", "weight_decay", "dropout", "label_smoothing")


def run_sweep(config: SweepConfig, console: Console) -> None:
    """Train, draw and print."""
    require_matplotlib()
    run = create_run(config.out, config.run_name, overwrite=config.overwrite)
    try:
        if not console.is_terminal:
            console.print("compiling and training all trials …")
        with console.status("compiling and training all trials") as status:

            def tell(rows: Sequence[SweepRow]) -> None:
                best = min(row.validation_nats for row in rows)
                status.update(f"{len(rows)} trials at step {rows[0].steps}, best {best:.4f} nats")

            result, test = sweep_tabular(config, run, on_rows=tell)
    except BaseException:
        run.remove_if_unused()
        raise
    _draw(result, run)
    console.print(result.summary())
    if test is not None:
        console.print(
            f"The best on the test rows: {test.loss_nats:.4f} nats, accuracy "
            f"{test.correct / test.count:.2%} of {test.count:.0f}. It was chosen on "
            "validation among many, so its validation loss flatters it.",
            highlight=False,
        )
    console.print(f"Pictures and figures are in [bold]{escape(str(run.path))}[/bold].")


def _draw(result: SweepResult, run: Run) -> None:
    table = result.to_table()
    varied = [name for name in table[0] if len({str(row[name]) for row in table}) > 1]
    swept = [name for name in varied if name in result.rows[0].hyperparameters]
    if len(swept) >= 2:
        numbers = [name for name in _NUMBERS if name in swept]
        x, y = (numbers + [name for name in swept if name not in numbers])[:2]
        draw_heat_map(table, x, y, run.path / "heat_map.png")
    if swept:
        draw_parallel_coordinates(table, run.path / "parallel.png", names=swept)
