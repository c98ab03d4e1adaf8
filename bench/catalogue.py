"""The benches by name: a new one is a module with `heats` and a line here.

A module's `heats(effort)` yields the rows to be measured; it is imported when its bench runs, so
that the list costs nothing and every bench can set its process up first.
"""

import difflib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.effort import Effort
from bench.heat import Heat


@dataclass(frozen=True)
class Bench:
    """One bench.

    Attributes:
        name: on the command line, and of its file in bench/results.
        module: where its `heats` is.
        summary: one line.
        peers: packages that take part where they are installed, and are named where they are not.
        packages: further packages whose versions belong to the figures.
        devices: CPU devices its process has; None: the device is the machine's accelerator.
        in_all: whether `all` runs it.
    """

    name: str
    module: str
    summary: str
    peers: tuple[str, ...] = ("optax", "torch")
    packages: tuple[str, ...] = ("xentjax",)
    devices: int | None = 1
    in_all: bool = True

    @property
    def heats(self) -> Callable[[Effort], Iterable[Heat]]:
        """The rows of the bench for an effort."""
        return importlib.import_module(self.module).heats


_LEARNERS = ("xentjax", "flax", "optax")
BENCHES: tuple[Bench, ...] = (
    Bench("dense", "bench.dense", "softmax cross-entropy of dense logits beside a bare pass"),
    Bench(
        "linear",
        "bench.linear",
        "linear cross-entropy beside three bare products",
        peers=("optax", "torch", "tokamax"),
    ),
    Bench(
        "growth",
        "bench.growth",
        "time and memory of linear cross-entropy as N and V grow",
        peers=("optax",),
    ),
    Bench("losses", "bench.losses", "every loss of the family, value and gradient"),
    Bench("ctc", "bench.ctc", "CTC as batch, frames and classes grow"),
    Bench(
        "metrics",
        "bench.metrics",
        "metrics beside scikit-learn and torch",
        peers=("scikit-learn", "torch"),
    ),
    Bench(
        "train",
        "bench.train",
        "a training step of the digits CNN and of a small GPT",
        peers=("torch",),
        packages=_LEARNERS,
    ),
    Bench(
        "search",
        "bench.search",
        "sweeps and the learning-rate finder, compilation included",
        peers=(),
        packages=_LEARNERS,
    ),
    Bench(
        "startup",
        "bench.startup",
        "import time, and compile time of the fused loss beside the dense one",
        peers=("optax",),
    ),
    Bench(
        "sharded",
        "bench.sharded",
        "linear cross-entropy over 8 fake devices: time, and memory of each",
        peers=("optax",),
        devices=8,
    ),
    Bench(
        "gpu",
        "bench.gpu",
        "linear cross-entropy at published shapes in bfloat16, on the accelerator at hand",
        peers=("optax", "torch", "tokamax", "liger-kernel", "cut-cross-entropy"),
        devices=None,
        in_all=False,
    ),
)
NAMES: tuple[str, ...] = tuple(bench.name for bench in BENCHES)


def bench_named(name: str) -> Bench:
    """The bench of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the benches are {', '.join(NAMES)}"
        raise ValueError(f"no bench is called {name!r}; {hint}")
    return BENCHES[NAMES.index(name)]
