"""Which loss for imbalance, which for label noise: the figures of docs/choosing.md.

Run `python -m bench.choosing`. A network with one hidden layer learns scikit-learn's digits, with
classes that thin out from 100 images to 2, and with training labels that are wrong at random.
Every loss gets the same splits, initial weights and batches, and its options as in its paper.
Validation chooses the learning rate, out of three, and the checkpoint, seed by seed; beside it
stands the end of the fastest rate, untuned. Writes bench/results/choosing.json, the picture, and
the tables between the markers of the document; `--tables` does the latter two from the kept JSON.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import Progress

from bench.choosing_tables import DOCUMENT, PICTURE, draw, with_tables
from bench.choosing_training import (
    BATCH,
    CLASSES,
    RATES,
    STEPS,
    WIDTH,
    Context,
    Objective,
    Outputs,
    Part,
    Task,
    balanced_splits,
    trained,
)
from xentjax import focal_loss, softmax_cross_entropy
from xentjax.losses.bi_tempered import bi_tempered_loss
from xentjax.losses.bootstrapping import bootstrapped_cross_entropy
from xentjax.losses.class_balance import class_balanced_weights
from xentjax.losses.longtail import ldam_loss, logit_adjusted_cross_entropy
from xentjax.losses.noise import forward_corrected_cross_entropy
from xentjax.losses.robust import generalized_cross_entropy, symmetric_cross_entropy
from xentjax.timing import Environment

RESULTS = Path(__file__).parent / "results" / "choosing.json"
# From 100 images down to 2, geometrically.
COUNTS = np.round(100 * 50 ** (-np.arange(CLASSES) / (CLASSES - 1))).astype(int)
SYMMETRIC, PAIRS = 0.4, 0.3
# The quantile of the paper that stands for the surest example of a class.
_ANCHOR = 0.97


class Contestant(NamedTuple):
    """A loss, on cosines or free logits, and what is done to the logits once it is trained."""

    objective: Objective
    cosine: bool = False
    after: Callable[[np.ndarray, Context], np.ndarray] | None = None


def _plain(loss: Callable[..., Any], **options: Any) -> Objective:
    return lambda logits, labels, _: loss(logits, labels, reduction="mean", **options)


def _with_counts(loss: Callable[..., Any]) -> Objective:
    return lambda logits, labels, context: loss(logits, labels, context["counts"], reduction="mean")


def _with_noise(name: str) -> Objective:
    return lambda logits, labels, context: forward_corrected_cross_entropy(
        logits, labels, context[name], reduction="mean"
    )


def _class_weighted(logits: jax.Array, labels: jax.Array, context: Context) -> jax.Array:
    weights = class_balanced_weights(context["counts"])
    return softmax_cross_entropy(logits, labels, class_weights=weights, reduction="mean")


def _less_prior(logits: np.ndarray, context: Context) -> np.ndarray:
    return logits - np.log(context["counts"])[:, None, None, None]


PLAIN = _plain(softmax_cross_entropy)
BASELINE = "cross-entropy"
IMBALANCE = {
    BASELINE: Contestant(PLAIN),
    "cross-entropy, log π subtracted after training": Contestant(PLAIN, after=_less_prior),
    "cross-entropy, `class_balanced_weights`": Contestant(_class_weighted),
    "`logit_adjusted_cross_entropy`": Contestant(_with_counts(logit_adjusted_cross_entropy)),
    "`ldam_loss` on cosines": Contestant(_with_counts(ldam_loss), cosine=True),
    "`focal_loss`": Contestant(_plain(focal_loss)),
}
NOISE = {
    BASELINE: Contestant(PLAIN),
    "cross-entropy, label smoothing 0.1": Contestant(
        _plain(softmax_cross_entropy, label_smoothing=0.1)
    ),
    "`generalized_cross_entropy`": Contestant(_plain(generalized_cross_entropy)),
    "`symmetric_cross_entropy`": Contestant(_plain(symmetric_cross_entropy)),
    "`bi_tempered_loss`": Contestant(_plain(bi_tempered_loss)),
    "`bootstrapped_cross_entropy`, soft": Contestant(_plain(bootstrapped_cross_entropy)),
    "`bootstrapped_cross_entropy`, hard": Contestant(
        _plain(bootstrapped_cross_entropy, kind="hard")
    ),
    "`forward_corrected_cross_entropy`, true T": Contestant(_with_noise("noise")),
    "`forward_corrected_cross_entropy`, estimated T": Contestant(_with_noise("estimated_noise")),
}


def long_tailed(seeds: int) -> Task:
    """A training part that thins out over the classes, in an order drawn for each seed."""
    train, validation, test = balanced_splits(seeds)
    kept, counts = [], []
    for seed, labels in enumerate(train.labels):
        own = np.random.default_rng([seed, 1]).permutation(COUNTS)
        kept.append(np.concatenate([np.flatnonzero(labels == c)[:n] for c, n in enumerate(own)]))
        counts.append(own)
    rows = np.stack(kept)
    thinned = Part(
        np.take_along_axis(train.features, rows[..., None], 1),
        np.take_along_axis(train.labels, rows, 1),
    )
    return Task(thinned, validation, test, {"counts": np.array(counts, np.float32)})


def noisy(matrix: np.ndarray, seeds: int) -> Task:
    """Training and validation labels drawn by the rows of a noise matrix; the test is clean."""
    train, validation, test = balanced_splits(seeds)
    rng = np.random.default_rng(7)
    true = np.tile(matrix.astype(np.float32), (seeds, 1, 1))
    task = Task(
        flipped(train, matrix, rng),
        flipped(validation, matrix, rng),
        test,
        {"noise": true, "estimated_noise": true},
    )
    estimated = estimated_noise(trained(PLAIN, task), task)
    return task._replace(context={"noise": true, "estimated_noise": estimated})


def flipped(part: Part, matrix: np.ndarray, rng: np.random.Generator) -> Part:
    """Each label drawn anew from its row of the noise matrix."""
    above = rng.random(part.labels.shape)[..., None] > np.cumsum(matrix, 1)[part.labels]
    return Part(part.features, np.minimum(above.sum(-1), CLASSES - 1).astype(np.int32))


def symmetric_noise() -> np.ndarray:
    """Every other class equally likely."""
    return np.eye(CLASSES) * (1 - SYMMETRIC) + (1 - np.eye(CLASSES)) * SYMMETRIC / (CLASSES - 1)


def pair_noise() -> np.ndarray:
    """Each class taken for the next."""
    return np.eye(CLASSES) * (1 - PAIRS) + np.roll(np.eye(CLASSES), 1, 1) * PAIRS


def estimated_noise(outputs: Outputs, task: Task) -> np.ndarray:
    """T by anchors: what the cross-entropy predicts for its surest training image of each class.

    It knows no clean label. The checkpoint is the one that fits the noisy validation best, for a
    network trained to the end has learned the noise by heart and finds none.
    """
    rate, checkpoint = chosen(accuracies(outputs.validation, task.validation))
    seeds = np.arange(len(rate))
    logits = jnp.asarray(outputs.train[seeds, rate, checkpoint])
    probabilities = np.asarray(jax.nn.softmax(logits), np.float64)
    matrices = []
    for p in probabilities:
        anchors = np.argsort(p, 0)[int(_ANCHOR * len(p))]
        matrices.append(p[anchors] / p[anchors].sum(1, keepdims=True))
    return np.array(matrices, np.float32)


def accuracies(logits: np.ndarray, part: Part) -> np.ndarray:
    """[S, rates, checkpoints]; over equally many of each class, so balanced accuracies too."""
    return (logits.argmax(-1) == part.labels[:, None, None]).mean(-1)


def chosen(validation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each seed the rate and the checkpoint that validation [S, rates, checkpoints] likes."""
    seeds, rates, checkpoints = validation.shape
    best = validation.reshape(seeds, rates * checkpoints).argmax(1)
    return best // checkpoints, best % checkpoints


def scores(outputs: Outputs, task: Task) -> dict[str, list[float]]:
    """Figures of the test, one a seed: as validation chooses, and the fastest rate's end."""
    validation = accuracies(outputs.validation, task.validation)
    rows = np.arange(len(validation))
    recalls = _recalls(outputs.test[rows, *chosen(validation)], task.test)
    figures = {
        "chosen": recalls.mean(1),
        "chosen, worst class": recalls.min(1),
        "untuned": _recalls(outputs.test[:, -1, -1], task.test).mean(1),
    }
    if "counts" in task.context:
        share = task.context["counts"] / task.context["counts"].sum(1, keepdims=True)
        figures["chosen, as frequent as in training"] = (share * recalls).sum(1)
    return {name: [round(float(v), 6) for v in values] for name, values in figures.items()}


def _recalls(logits: np.ndarray, test: Part) -> np.ndarray:
    """[S, C]; the test lies class by class, as many of each."""
    right = logits.argmax(-1) == test.labels
    return right.reshape(len(right), CLASSES, -1).mean(-1)


def compared(
    contestants: Mapping[str, Contestant], task: Task, tick: Callable[[], None]
) -> dict[str, dict[str, list[float]]]:
    """Scores of every contestant; what differs only afterwards is trained once."""
    kept: dict[tuple[Objective, bool], Outputs] = {}
    rows = {}
    for name, each in contestants.items():
        key = (each.objective, each.cosine)
        kept[key] = kept.get(key) or trained(each.objective, task, cosine=each.cosine)
        outputs = kept[key]
        if each.after is not None:
            outputs = Outputs(*(each.after(logits, task.context) for logits in outputs))
        rows[name] = scores(outputs, task)
        tick()
    return rows


def measured(seeds: int, console: Console) -> dict[str, Any]:
    """All experiments, as they are kept in JSON."""
    experiments: dict[str, tuple[Mapping[str, Contestant], Callable[[int], Task]]] = {
        "imbalance": (IMBALANCE, long_tailed),
        "symmetric noise": (NOISE, partial(noisy, symmetric_noise())),
        "pair noise": (NOISE, partial(noisy, pair_noise())),
    }
    began, results = (time.perf_counter(), time.process_time()), {}
    with Progress(console=console) as progress:
        for name, (contestants, make) in experiments.items():
            bar = progress.add_task(name, total=len(contestants))
            results[name] = compared(contestants, make(seeds), partial(progress.advance, bar))
    environment = Environment.of(jnp.zeros(1), packages=("xentjax", "optax", "scikit-learn"))
    return {
        "environment": dataclasses.asdict(environment),
        "seconds": round(time.perf_counter() - began[0], 1),
        "cpu_seconds": round(time.process_time() - began[1], 1),
        "seeds": seeds,
        "settings": {
            "width": WIDTH,
            "batch": BATCH,
            "steps": STEPS,
            "rates": RATES,
            "counts": COUNTS.tolist(),
            "symmetric": SYMMETRIC,
            "pairs": PAIRS,
        },
        "baseline": BASELINE,
        "experiments": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="splits and initial weights (20)")
    parser.add_argument("--tables", action="store_true", help="from the kept JSON, no training")
    options, console = parser.parse_args(), Console()
    if not options.tables:
        results = measured(options.seeds, console)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        console.print(f"{results['seconds']} s, {results['environment']}", highlight=False)
    results = json.loads(RESULTS.read_text("utf-8"))
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text("utf-8"), results), "utf-8")
    draw(results, PICTURE)
    console.print(f"tables of {DOCUMENT.name} and {PICTURE.name} renewed")


if __name__ == "__main__":
    main()
