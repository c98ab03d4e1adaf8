"""Digits: the CNN and the MLP of `xentjax train`, beside scikit-learn's on the same split.

Run `python -m bench.digits` (five minutes on two cores); it writes bench/results/digits.json.

Accuracy on 268 test images that nothing was chosen by, mean over the seeds; the interval of the
pooled predictions (Wilson) says what so few images can tell, and does not shrink with the seeds.
"""

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
import warnings
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from xentjax.data import load_digits, stratified_split
from xentjax.data.splits import accuracy_interval
from xentjax.jobs.config import ImageConfig, TabularConfig
from xentjax.jobs.tabular import train_tabular
from xentjax.timing import Environment
from xentjax.train.runs import create_run

RESULTS = Path(__file__).parent / "results" / "digits.json"
# Two-sided 95 % quantiles of Student's t with n − 1 degrees of freedom.
_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}
_TUNED = [{"C": c, "gamma": g} for c in (1.0, 10.0, 100.0) for g in ("scale", 0.01, 0.1)]


def row(name: str, accuracies: list[float], n: int, seconds: float | None) -> dict[str, Any]:
    """One contestant's figures."""
    mean = statistics.fmean(accuracies)
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else None
    return {
        "name": name,
        "accuracies": accuracies,
        "mean": mean,
        "ci95_of_mean_over_seeds": None
        if spread is None
        else _T[len(accuracies)] * spread / math.sqrt(len(accuracies)),
        "wilson95": accuracy_interval(n, accuracy=mean),
        "seconds_a_seed": seconds,
    }


def ours(seeds: int, console: Console) -> list[dict[str, Any]]:
    """The CNN and the MLP with the defaults of the command line."""
    rows = []
    for name, config in (
        ("xentjax CNN", ImageConfig(seeds=seeds)),
        ("xentjax MLP", TabularConfig(seeds=seeds)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            summary, _ = train_tabular(config, create_run(Path(folder), "bench"), console=console)
        accuracies = [each.test_accuracy for each in summary.seeds]
        seconds = statistics.median(each.seconds for each in summary.seeds)
        rows.append(row(name, accuracies, summary.rows["test"], seconds))
    return rows


def theirs(seeds: int) -> list[dict[str, Any]]:
    """scikit-learn's SVC, as it comes and tuned on validation, and its MLPClassifier."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    table = load_digits()
    split = stratified_split(table.labels, fractions=(0.7, 0.15, 0.15), seed=0)
    parts = {n: (table.features[r], table.labels[r]) for n, r in split._asdict().items()}
    n = len(split.test)
    svc = SVC().fit(*parts["train"])
    tuned = [SVC(**options).fit(*parts["train"]) for options in _TUNED]
    best = max(range(len(tuned)), key=lambda i: tuned[i].score(*parts["validation"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        networks = [
            MLPClassifier(max_iter=500, random_state=seed).fit(*parts["train"])
            for seed in range(seeds)
        ]

    def scored(name: str, models: list[Any]) -> dict[str, Any]:
        return row(name, [float(model.score(*parts["test"])) for model in models], n, None)

    return [
        scored("scikit-learn SVC", [svc]),
        scored("scikit-learn SVC, C and gamma by validation", [tuned[best]]),
        scored("scikit-learn MLPClassifier", networks),
    ]


def measure_digits(seeds: int, console: Console) -> list[dict[str, Any]]:
    """Train all and print the table."""
    rows = ours(seeds, console) + theirs(seeds)
    table = Table(
        title=f"Digits: test accuracy, {seeds} seeds", box=box.SIMPLE_HEAD, title_justify="left"
    )
    table.add_column("")
    for column in ("mean", "± 95 % over seeds", "95 % for 268 images", "s a seed"):
        table.add_column(column, justify="right")
    for each in rows:
        spread, seconds = each["ci95_of_mean_over_seeds"], each["seconds_a_seed"]
        low, high = each["wilson95"]
        table.add_row(
            each["name"],
            f"{each['mean']:.2%}",
            "–" if spread is None else f"{spread:.2%}",
            f"{low:.1%} to {high:.1%}",
            "–" if seconds is None else f"{seconds:.1f}",
        )
    console.print(table)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, choices=tuple(_T), help="trainings (5)")
    rows = measure_digits(parser.parse_args().seeds, Console(width=110))
    environment = Environment.of(None, ("xentjax", "flax", "optax", "scikit-learn"))
    figures = {"environment": dataclasses.asdict(environment), "digits": rows}
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
