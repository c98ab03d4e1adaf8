"""Totals of parts are the totals of the whole."""

import math

import numpy as np

from xentjax.train import Totals


def test_parts_of_any_size_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    metrics = {name: rng.integers(0, 9, 11).astype(np.float32) for name in ("loss_total", "count")}
    metrics["loss_weight"] = metrics["correct"] = metrics["count"]
    whole = Totals.from_metrics(metrics)
    parts = [
        Totals.from_metrics({name: array[part] for name, array in metrics.items()})
        for part in (slice(0, 1), slice(1, 8), slice(8, 11))
    ]
    assert sum(parts, Totals()) == whole
    assert whole.loss_nats == metrics["loss_total"].sum() / metrics["loss_weight"].sum()


def test_nothing_counted_has_no_accuracy_and_no_loss():
    assert Totals().accuracy is None
    # 0 nats would be the best loss there is.
    assert math.isnan(Totals().loss_nats)
