"""`xentjax lr-find …`: a learning rate range test on a job of `xentjax train`."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xentjax.cli.options import FindForCNN, FindForDigits, FindForGPT, writable
from xentjax.jobs.config import ImageConfig, LanguageConfig, TabularConfig
from xentjax.jobs.language import language_task, training_corpus
from xentjax.jobs.tabular import load_table, tabular_task
from xentjax.jobs.task import Task, training_objective, training_optimizer
from xentjax.plots.canvas import require_matplotlib
from xentjax.plots.finder import draw_rate_curve
from xentjax.search.finder import lr_find

_MEANING = {
    "minimum_tenth": "a tenth of the rate with the lowest loss",
    "steepest": "where the loss falls fastest",
    "valley": "midway down the longest fall, a flat start included",
}
_WITHOUT_USE = (
    *("learning_rate", "schedule", "ema", "accumulate", "early_stopping", "target_loss"),
    *("time_budget", "fast_dev_run", "overfit_batches"),
)


def run_finder(options: FindForDigits | FindForCNN | FindForGPT, console: Console) -> None:
    """Run the test, draw the curve and print the suggestions."""
    _refuse_the_rest(options.job)
    require_matplotlib()
    picture = writable(options.finder.picture)
    job, task = options.job, _task(options)
    with console.status(f"{task.title}: raising the learning rate"):
        curve = lr_find(
            task.make_model(job.seed),
            task.make_batches(job.seed),
            training_objective(job.training),
            optimizer=training_optimizer(job.training),
            low=options.finder.low,
            high=options.finder.high,
            steps=options.finder.tries,
            seed=job.seed,
        )
    draw_rate_curve(curve, picture, title=f"Learning rates for {task.title}")
    table = Table(title="Suggested peaks", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("rule")
    table.add_column("learning rate", justify="right")
    table.add_column("")
    for name, meaning in _MEANING.items():
        rate = curve.suggestions[name]
        table.add_row(name, "–" if rate is None else f"{rate:.2g}", meaning)
    console.print(table)
    for note in curve.notes:
        console.print(escape(note))
    console.print(f"The curve is drawn in [bold]{escape(str(picture))}[/bold].", soft_wrap=True)


def _refuse_the_rest(job: TabularConfig | ImageConfig | LanguageConfig) -> None:
    """An option of a training that a range test has no use for would be ignored."""
    plain, given = type(job)(), []
    if job.run != plain.run:
        given += ["--name, --out, --overwrite, --resume, --checkpoint-every or --tensorboard"]
    for name in _WITHOUT_USE:
        if getattr(job.training, name) != getattr(plain.training, name):
            given.append("--" + name.replace("_", "-"))
    if given:
        raise ValueError(f"lr-find has no use for {', '.join(given)}; leave it out")


def _task(options: FindForDigits | FindForCNN | FindForGPT) -> Task:
    if isinstance(options.job, LanguageConfig):
        return language_task(options.job, training_corpus(options.job)[0])
    return tabular_task(options.job, load_table(options.job))
