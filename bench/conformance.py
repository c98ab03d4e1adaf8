"""Beside optax: equal where optax is right, and what each gives where they differ.

Run `python -m bench.conformance`. The first table draws random inputs for every case that names
its counterpart in optax and reports the largest difference of value and gradient; the second calls
both on inputs outside optax's domain. Both go to docs/losses.md and to JSON.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track

from bench.cases import CASES
from bench.cases.case import LossCase
from bench.document import between
from bench.loss_table import DOCUMENT
from bench.situations import SITUATIONS

RESULTS = Path(__file__).parent / "results" / "conformance.json"
DRAWS, EXAMPLES, CLASSES = 200, 8, 5


def agreement(case: LossCase, draws: int = DRAWS) -> dict[str, float]:
    """The largest difference of losses and of gradients over random draws, relative to 1 + |loss|.

    The gradient is that of Σ uᵢ lᵢ with random u, so an error in one example cannot cancel.
    """
    assert case.optax is not None
    argnums = case.contract.get("argnums", (0,))
    losses = [_mean_of(loss) if case.only_mean else loss for loss in (case.loss, case.optax)]
    ours, theirs = (_pulled_back(loss, argnums) for loss in losses)
    worst = {"value": 0.0, "gradient": 0.0}
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        inputs = case.draw(rng, EXAMPLES, CLASSES)
        cotangent = rng.standard_normal(jax.eval_shape(losses[0], *inputs).shape, np.float32)
        found = [f(inputs, cotangent) for f in (ours, theirs)]
        for part, (one, other) in zip(worst, zip(*found, strict=True), strict=True):
            worst[part] = max(worst[part], _difference(one, other))
    return worst


def _mean_of(loss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *inputs: jnp.mean(loss(*inputs))[None]


def _pulled_back(loss: Callable[..., Any], argnums: tuple[int, ...]) -> Callable[..., Any]:
    @jax.jit
    def both(inputs: tuple[Any, ...], cotangent: Any) -> tuple[Any, Any]:
        def of_some(*some: Any) -> Any:
            full = list(inputs)
            for position, x in zip(argnums, some, strict=True):
                full[position] = x
            return loss(*full)

        losses, pull = jax.vjp(of_some, *(inputs[i] for i in argnums))
        return losses, pull(cotangent)

    return both


def _difference(one: Any, other: Any) -> float:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.max(np.abs(a - b) / (1 + np.abs(b)))) for a, b in pairs)


def agreement_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: the largest differences, case by case."""
    lines = [
        "| case | draws | largest difference of losses | of gradients |",
        "|---|---:|---:|---:|",
    ]
    for name, worst in found.items():
        lines.append(f"| {name} | {DRAWS} | {worst['value']:.1e} | {worst['gradient']:.1e} |")
    return "\n".join(lines)


def difference_table(found: Sequence[Mapping[str, str]]) -> str:
    """Markdown: the inputs on which optax and this package differ."""
    lines = ["| loss | input | optax | xentjax |", "|---|---|---|---|"]
    lines += [f"| {r['loss']} | {r['input']} | {r['optax']} | **{r['xentjax']}** |" for r in found]
    return "\n".join(lines)


def main() -> None:
    console = Console(stderr=True)
    with_peer = {name: case for name, case in CASES.items() if case.optax is not None}
    found = {
        name: agreement(case)
        for name, case in track(with_peer.items(), "comparing", console=console)
    }
    differences = [situation.measured() for situation in SITUATIONS]
    results = {"agreement": found, "differences": differences}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    text = DOCUMENT.read_text("utf-8")
    text = between(text, "agreement", agreement_table(found))
    DOCUMENT.write_text(between(text, "differences", difference_table(differences)), "utf-8")


if __name__ == "__main__":
    main()
