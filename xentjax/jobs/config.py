"""The options of the training jobs, as frozen dataclasses the command line is made from.

Nothing here imports flax, so that `--help` is quick. A field's docstring is its help text.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

Activation: TypeAlias = Literal["relu", "gelu", "tanh", "sigmoid", "silu"]
Optimizer: TypeAlias = Literal[
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "dog",
    "lamb",
    "lbfgs",
    "lion",
    "momentum",
    "muon",
    "nadamw",
    "nesterov",
    "prodigy",
    "rmsprop",
    "sam",
    "schedule_free",
    "sgd",
]
Schedule: TypeAlias = Literal[
    "constant",
    "cosine",
    "exponential",
    "inverse_sqrt",
    "linear",
    "one_cycle",
    "polynomial",
    "sgdr",
    "triangular",
    "warmup_cosine",
    "warmup_stable_decay",
]


def _check_positive(config: object, names: Sequence[str]) -> None:
    for name in names:
        if not 0 < getattr(config, name) < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {getattr(config, name)}")


def _check_not_negative(config: object, names: Sequence[str]) -> None:
    for name in names:
        if not 0 <= getattr(config, name) < math.inf:
            raise ValueError(f"{name} must not be negative, got {getattr(config, name)}")


def _check_shares(config: object, names: Sequence[str]) -> None:
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {getattr(config, name)}")


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """How to train, whatever is trained."""

    optimizer: Optimizer = "adamw"
    """Update rule."""
    learning_rate: float | None = None
    """Peak of the schedule: 3e-3 for digits and cnn, 2e-3 for gpt, 1 for dog, lbfgs and prodigy."""
    schedule: Schedule = "warmup_cosine"
    """Course of the learning rate; a warm-up takes a twentieth of the steps."""
    weight_decay: float = 0.0
    """For the optimizers that have it; biases, norms and embeddings are spared."""
    clip_norm: float | None = None
    """Bound on the norm of the gradient."""
    ema: float | None = None
    """Evaluate an exponential moving average of the parameters with this decay, such as 0.99."""
    label_smoothing: float = 0.0
    """In training only; every loss reported for validation and test is without it."""
    accumulate: int = 1
    """Micro-batches a batch is cut into, to save memory; the result is that of the batch."""
    early_stopping: int | None = None
    """End after this many validations without a new best."""
    target_loss: float | None = None
    """End once the validation loss is as low as this, in nats."""
    time_budget: float | None = None
    """End after so many seconds."""
    fast_dev_run: bool = False
    """Three steps, to see that everything fits together."""
    overfit_batches: int | None = None
    """Train and validate on this many batches alone: the loss must go to zero."""

    def __post_init__(self) -> None:
        _check_positive(self, ("accumulate",))
        _check_not_negative(self, ("weight_decay",))
        _check_shares(self, ("label_smoothing",))
        known = ("learning_rate", "clip_norm", "early_stopping", "time_budget", "overfit_batches")
        _check_positive(self, [name for name in known if getattr(self, name) is not None])
        if self.ema is not None:
            _check_shares(self, ("ema",))
        if self.target_loss is not None and not math.isfinite(self.target_loss):
            raise ValueError(f"target_loss must be finite, got {self.target_loss}")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where a run is kept."""

    name: str | None = None
    """Name of the run; by default what is trained on."""
    out: Path = Path("runs")
    """Where the run's directory goes."""
    overwrite: bool = False
    """Replace a run of that name; otherwise the new one becomes name-2, name-3, …"""
    resume: bool = False
    """Go on with the run of that name from its newest checkpoint."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; by default there is one with every validation."""
    tensorboard: bool = False
    """Also write what tensorboard reads; wants the extra `log`."""

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise ValueError("give --resume or --overwrite, not both")
        if self.checkpoint_every is not None:
            _check_positive(self, ("checkpoint_every",))


@dataclasses.dataclass(frozen=True)
class TabularConfig:
    """Train a small MLP on digits or breast_cancer, once for each seed.

    Rows are split 70 / 15 / 15 %, stratified by class. The parameters with the lowest validation
    loss are scored on the test rows.
    """

    dataset: Literal["digits", "breast_cancer"] = "digits"
    """Real data that comes with scikit-learn."""
    seeds: int = 1
    """How many trainings; each has its own initial parameters, batch order and dropout."""
    seed: int = 0
    """The first of the seeds."""
    split_seed: int = 0
    """Decides which rows are held out, the same for all seeds."""
    epochs: int = 60
    """Passes over the training rows."""
    steps: int | None = None
    """Optimizer steps, in place of epochs; give one of the two."""
    batch_size: int = 64
    """Rows in a step."""
    hidden: tuple[int, ...] = (256, 128)
    """Width of each hidden layer; none at all makes the model linear."""
    activation: Activation = "relu"
    """Nonlinearity after each hidden layer."""
    dropout: float = 0.3
    """Share of hidden units dropped in training."""
    training: TrainingOptions = TrainingOptions(weight_decay=1e-2)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        _check_positive(self, ("seeds", "epochs", "batch_size"))
        _check_not_negative(self, ("seed", "split_seed"))
        _check_shares(self, ("dropout",))
        if self.steps is not None:
            _check_positive(self, ("steps",))
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden widths must be at least 1, got {self.hidden}")

    @property
    def run_name(self) -> str:
        """The name asked for, or the data set's."""
        return self.run.name or self.dataset


@dataclasses.dataclass(frozen=True)
class ImageConfig:
    """Train a small residual CNN on the images of the digits, once for each seed.

    Images are split 70 / 15 / 15 %, stratified by class. The parameters with the lowest validation
    loss are scored on the test images.
    """

    seeds: int = 1
    """How many trainings; each has its own initial parameters, batch order and dropout."""
    seed: int = 0
    """The first of the seeds."""
    split_seed: int = 0
    """Decides which images are held out, the same for all seeds."""
    epochs: int = 40
    """Passes over the training images."""
    steps: int | None = None
    """Optimizer steps, in place of epochs; give one of the two."""
    batch_size: int = 64
    """Images in a step."""
    widths: tuple[int, ...] = (32, 64)
    """Channels of each stage; every stage after the first halves height and width."""
    blocks: int = 1
    """Residual blocks in a stage."""
    activation: Activation = "relu"
    """Nonlinearity after each convolution."""
    dropout: float = 0.3
    """Share of activations dropped in training."""
    training: TrainingOptions = TrainingOptions(weight_decay=1e-2)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        _check_positive(self, ("seeds", "epochs", "batch_size", "blocks"))
        _check_not_negative(self, ("seed", "split_seed"))
        _check_shares(self, ("dropout",))
        if self.steps is not None:
            _check_positive(self, ("steps",))
        if not self.widths or any(width < 1 for width in self.widths):
            raise ValueError(f"widths must name at least one width above 0, got {self.widths}")

    @property
    def run_name(self) -> str:
        """The name asked for, or cnn."""
        return self.run.name or "cnn"


@dataclasses.dataclass(frozen=True)
class LanguageConfig:
    """Train a small GPT on the Python manual, or on a text of your own.

    The text is cut in order: 90 % to train on, 5 % for validation, the last 5 % to test. The model
    is compared with a unigram model and with gzip, bzip2 and xz on the same held-out bytes.
    """

    text: Path | None = None
    """A text file; without one, the Python manual that comes with Python."""
    tokens: Literal["byte", "char"] = "byte"
    """What a token is; characters need a text in UTF-8."""
    steps: int = 1400
    """Optimizer steps."""
    batch_size: int = 8
    """Windows in a step."""
    block: int = 64
    """Tokens in a window: the longest context the model can see."""
    layers: int = 4
    """Transformer blocks."""
    heads: int = 4
    """Attention heads in a block."""
    width: int = 128
    """Size of the hidden states, a multiple of 2·heads."""
    dropout: float = 0.0
    """Share of activations dropped in training."""
    seed: int = 0
    """Decides the initial parameters, batch order and dropout."""
    prompt: str = "The "
    """What the sample of text begins with."""
    sample_length: int = 300
    """Tokens to sample after the prompt; 0 for none."""
    temperature: float = 0.8
    """Of the sample; lower is safer and duller, 0 always takes the likeliest token."""
    top_k: int | None = None
    """Sample among this many likeliest tokens only."""
    canaries: int = 0
    """Secrets to plant in the training text, to see in `xentjax audit` whether they come out."""
    training: TrainingOptions = TrainingOptions(weight_decay=0.1, clip_norm=1.0)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        _check_positive(self, ("steps", "batch_size", "block", "layers", "heads", "width"))
        _check_not_negative(self, ("seed", "sample_length", "temperature", "canaries"))
        _check_shares(self, ("dropout",))
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2·heads = {2 * self.heads}, got {self.width}"
            )
        if self.sample_length and not self.prompt:
            raise ValueError("prompt must hold at least one character to sample from, got none")
        if self.top_k is not None:
            _check_positive(self, ("top_k",))
        if self.text is not None and not self.text.is_file():
            raise ValueError(f"text must be a file that exists, got {str(self.text)!r}")
        if self.text is not None and not self.text.stat().st_size:
            raise ValueError(f"text must not be an empty file, got {str(self.text)!r}")

    @property
    def run_name(self) -> str:
        """The name asked for, or gpt."""
        return self.run.name or "gpt"
