"""One training step of a small GPT: xentjax, nnx.jit with optax, and torch eager, all the same.

Run `python -m bench.train_gpt`. The configuration is nanoGPT's small CPU one (4 layers, 4 heads,
128 wide, block 64, batch 12, GELU) on the Python manual in characters, float32, AdamW. A step is
the forward pass, the cross-entropy, the backward pass and the update. Every contestant starts
from the same weights, sees the same batches, and must reach the same loss before it is timed. All
alternate in one run; a ratio is the median of ratios paired by round, ± the standard error of
that median.

    xentjax                  `make_step`: a scan of 10 steps a call, state donated
    nnx.jit, the same GPT    `nnx.jit` and `nnx.Optimizer` on the very same module, a call a step
    nnx.jit, flax's layers   the same with a module of `nnx.Linear`, `nnx.RMSNorm`, `jax.nn.gelu`
    torch eager              `nn.Module`, `scaled_dot_product_attention`, `torch.optim.AdamW`
"""

import argparse
import json
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.flax_gpt import FlaxGPT
from bench.flax_gpt import load_weights as load_flax
from xentjax.data import CharTokenizer, load_manual, token_batches
from xentjax.models import GPT, GPTConfig
from xentjax.timing import Comparison, Plain, compare
from xentjax.timing.figures import ratio_text
from xentjax.train import TrainState, cross_entropy, make_step

XENTJAX, SAME_GPT, FLAX, TORCH = (
    "xentjax",
    "nnx.jit, the same GPT",
    "nnx.jit, flax's layers",
    "torch eager",
)
STEPS, BATCH, THREADS = 10, 12, 2
LEARNING_RATE, BETAS, DECAY = 1e-3, (0.9, 0.99), 0.1
RESULTS = Path(__file__).parent / "results" / "train_gpt.json"

Arrays = dict[str, np.ndarray]
Run = Callable[[], list[float]]


def make_data(steps: int = STEPS) -> tuple[GPTConfig, Arrays]:
    """The configuration, and `steps` batches of the manual: tokens and labels [steps, B, T]."""
    text = load_manual().text
    tokenizer = CharTokenizer.train(text)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, mlp="gelu")
    drawn = islice(
        token_batches(tokenizer.encode(text), length=config.block_size, batch_size=BATCH, seed=0),
        steps,
    )
    batches = list(drawn)
    return config, {
        name: np.stack([batch[name] for batch in batches]).astype(np.int32)
        for name in ("tokens", "labels")
    }


def adamw() -> optax.GradientTransformation:
    return optax.adamw(LEARNING_RATE, b1=BETAS[0], b2=BETAS[1], weight_decay=DECAY)


def make_gpt(config: GPTConfig) -> GPT:
    return GPT(config, rngs=nnx.Rngs(0))


def weights_of(model: GPT) -> dict[str, jax.Array]:
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {".".join(map(str, path)): variable[...] for path, variable in flat}


def xentjax_run(config: GPTConfig, data: Arrays) -> Run:
    optimizer = adamw()
    step = make_step(cross_entropy(), optimizer, learning_rate=LEARNING_RATE)
    state = TrainState.create(make_gpt(config), optimizer, key=jax.random.key(0))
    batches = {name: jax.device_put(array) for name, array in data.items()}

    def run() -> list[float]:
        nonlocal state
        state, metrics = step(state, batches)
        return np.asarray(metrics["loss_total"] / metrics["loss_weight"]).tolist()

    return run


def nnx_run(model: Any, data: Arrays) -> Run:
    """The loop of flax's own tutorials: a jitted step of model and optimizer, called by Python."""
    model.train()
    optimizer = nnx.Optimizer(model, adamw(), wrt=nnx.Param)
    batches = [
        tuple(map(jax.device_put, pair))
        for pair in zip(data["tokens"], data["labels"], strict=True)
    ]

    def loss_of(model: Any, tokens: jax.Array, labels: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(tokens), labels).mean()

    @nnx.jit
    def step(model: Any, optimizer: Any, tokens: jax.Array, labels: jax.Array) -> jax.Array:
        loss, grads = nnx.value_and_grad(loss_of)(model, tokens, labels)
        optimizer.update(model, grads)
        return loss

    def run() -> list[float]:
        losses = [step(model, optimizer, *batch) for batch in batches]
        return np.asarray(jnp.stack(losses)).tolist()

    return run


def torch_run(config: GPTConfig, data: Arrays) -> Run:
    import torch  # pyright: ignore[reportMissingImports] (an extra, asked for by find_spec)

    from bench.torch_gpt import TorchGPT, load_weights, make_torch_step, torch_name

    torch.set_num_threads(THREADS)
    weights = {torch_name(name): array for name, array in weights_of(make_gpt(config)).items()}
    model = load_weights(TorchGPT(config), weights)
    step = make_torch_step(model, learning_rate=LEARNING_RATE, betas=BETAS, weight_decay=DECAY)
    tokens, labels = (data[name].astype(np.int64) for name in ("tokens", "labels"))
    return lambda: step(tokens, labels)


def make_runs(config: GPTConfig, data: Arrays) -> dict[str, Run]:
    """All contestants, each with weights and optimizer state of its own."""
    flax = load_flax(FlaxGPT(config, rngs=nnx.Rngs(0)), weights_of(make_gpt(config)))
    runs = {
        XENTJAX: xentjax_run(config, data),
        SAME_GPT: nnx_run(make_gpt(config), data),
        FLAX: nnx_run(flax, data),
    }
    return runs | ({TORCH: torch_run(config, data)} if find_spec("torch") else {})


def check_losses(losses: dict[str, list[float]]) -> None:
    """Refuses to time contestants that do not train the same model.

    Rounding grows with every step; after ten steps from equal weights it is still in the fifth
    digit, where another formula, initial value or epsilon would show in the second.

    Raises:
        AssertionError: naming the contestant and the losses.
    """
    for name, got in losses.items():
        np.testing.assert_allclose(got, losses[XENTJAX], rtol=1e-3, err_msg=name)


def measure(rounds: int) -> Comparison:
    """Times STEPS steps of each contestant, `rounds` times in alternation."""
    config, data = make_data()
    runs = make_runs(config, data)
    check_losses({name: run() for name, run in runs.items()})
    return compare(
        {name: (Plain(run), ()) for name, run in runs.items()},
        baseline=SAME_GPT,
        runs=rounds,
        warmup=2,
        packages=("xentjax", "flax", "optax", "torch"),
    )


def make_table(comparison: Comparison) -> Table:
    """One line a contestant: milliseconds a step and its ratios to the others."""
    rounds = len(comparison.measurements[0].run_seconds)
    table = Table(
        title="GPT, 4 layers, 4 heads, 128 wide, block 64, batch 12, float32: a training step",
        caption=f"medians of {rounds} alternating rounds of {STEPS} steps; "
        "± is the median's standard error",
        box=SIMPLE_HEAD,
        padding=0,
    )
    others = [name for name in comparison.names if name != XENTJAX]
    table.add_column("contestant", no_wrap=True)
    for column in ("ms", "IQR ms", *(f"× {name}" for name in others)):
        table.add_column(column, justify="right")
    for measurement in comparison.measurements:
        table.add_row(
            measurement.name,
            f"{1e3 * measurement.median_seconds / STEPS:.1f}",
            f"{1e3 * measurement.iqr_seconds / STEPS:.1f}",
            *(ratio_text(comparison.ratio(measurement.name, to=other)) for other in others),
        )
    return table


def run(rounds: int, path: Path, console: Console) -> Comparison:
    """Measures, prints the table and writes the figures.

    Args:
        rounds: alternating rounds of STEPS steps each.
        path: the JSON file.
        console: where the table goes.

    Returns:
        The comparison; its seconds are those of STEPS steps.
    """
    # A line, not a live display: its refreshing thread would compete for the cores.
    console.print("[dim]timing a GPT's training step …[/dim]")
    comparison = measure(rounds)
    threads = f"torch runs on {THREADS} threads" if TORCH in comparison.names else "no torch here"
    console.print(f"{comparison.environment}\n{threads}", highlight=False, markup=False)
    console.print(make_table(comparison))
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = {"steps_a_run": STEPS, "batch": BATCH, **comparison.to_dict()}
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    console.print(f"figures written to {path}", highlight=False)
    return comparison


def parse_rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 1 up")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=parse_rounds, default=20, help="alternating rounds (20)")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    options = parser.parse_args()
    console = Console()
    jax.config.update("jax_platforms", "cpu")
    run(options.rounds, options.json, console if console.is_terminal else Console(width=110))


if __name__ == "__main__":
    main()
