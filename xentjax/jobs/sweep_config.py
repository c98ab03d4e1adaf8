"""The options of `xentjax sweep digits`; nothing here imports flax."""

import dataclasses
from pathlib import Path
from typing import Literal

from xentjax.jobs.config import Activation, Optimizer


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Train many MLPs on digits or breast_cancer together, and rank them by validation loss.

    Numbers are searched between two ends (random) or over a list (grid), in one compiled program
    for each combination of widths, activation and optimizer.
    """

    dataset: Literal["digits", "breast_cancer"] = "digits"
    """Real data that comes with scikit-learn."""
    search: Literal["random", "grid"] = "random"
    """Draw between the lowest and the highest value given, or try every value given."""
    trials: int = 32
    """How many configurations to draw at random."""
    learning_rate: tuple[float, ...] = (1e-4, 1e-1)
    """Peak of the schedule, drawn on a logarithmic scale."""
    weight_decay: tuple[float, ...] = (1e-4, 1.0)
    """For the optimizers that have it, drawn on a logarithmic scale."""
    dropout: tuple[float, ...] = (0.0, 0.6)
    """Share of hidden units dropped in training."""
    label_smoothing: tuple[float, ...] = (0.0, 0.2)
    """In training only."""
    seeds: tuple[int, ...] = (0,)
    """Of initial parameters, batch order and dropout; several show what chance does."""
    widths: tuple[int, ...] = (128,)
    """Widths of the two hidden layers; each is a program of its own."""
    activations: tuple[Activation, ...] = ("relu",)
    """Nonlinearities; each is a program of its own."""
    optimizers: tuple[Optimizer, ...] = ("adamw",)
    """Update rules; each is a program of its own."""
    steps: int = 400
    """Optimizer steps of a trial."""
    batch_size: int = 64
    """Rows in a step."""
    halving: bool = False
    """Stop two thirds of the trials at a ninth of the steps, two thirds of the rest at a third."""
    memory_mb: float | None = None
    """Trials that do not fit together in so many megabytes are trained one chunk after another."""
    split_seed: int = 0
    """Decides which rows are held out."""
    seed: int = 0
    """Of the random draws."""
    name: str | None = None
    """Name of the run; sweep by default."""
    out: Path = Path("runs")
    """Where the run's directory goes."""
    overwrite: bool = False
    """Replace a run of that name; otherwise the new one becomes name-2, name-3, …"""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "weight_decay", "dropout", "label_smoothing"):
            values = getattr(self, name)
            if not values or (self.search == "random" and len(values) > 2):
                raise ValueError(
                    f"{name} wants one number or a lowest and a highest, got {values}; to try "
                    "every one of several give --search grid"
                )
        if self.trials < 1 or self.steps < 9 or self.batch_size < 1:
            raise ValueError(
                "wanted trials ≥ 1, steps ≥ 9 and batch_size ≥ 1, got "
                f"{self.trials}, {self.steps} and {self.batch_size}"
            )

    @property
    def run_name(self) -> str:
        """The name asked for, or sweep."""
        return self.name or "sweep"
