"""`xentjax plot schedule`: the course of the learning rate, drawn before it is used."""

from rich.console import Console
from rich.markup import escape

from xentjax import optim
from xentjax.cli.options import PlotSchedule, writable
from xentjax.plots.schedules import draw_schedules


def run_plot(options: PlotSchedule, console: Console) -> None:
    """Draw the schedules named over each other."""
    drawn = {
        name: optim.schedule(name, options.learning_rate, steps=options.steps)
        for name in options.names
    }
    draw_schedules(drawn, writable(options.out), steps=options.steps)
    console.print(f"Drawn in [bold]{escape(str(options.out))}[/bold].", soft_wrap=True)
