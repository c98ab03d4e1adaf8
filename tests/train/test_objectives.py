"""The objectives are the formula, masks and smoothing included."""

import numpy as np
import pytest

from xentjax.train import classification_loss, next_token_loss

RNG = np.random.default_rng(0)


def expected(logits, labels, where, smoothing):
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nll = -np.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    losses = (1 - smoothing) * nll - smoothing * log_p.mean(-1)
    return (losses * where).sum(), ((logits.argmax(-1) == labels) & where).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("make", "name", "shape"),
    [(classification_loss, "features", (7,)), (next_token_loss, "tokens", (3, 5))],
)
def test_an_objective_sums_the_kept_losses_and_counts_the_kept_hits(make, name, shape, smoothing):
    logits = RNG.normal(size=(*shape, 4))
    labels = RNG.integers(0, 4, shape).astype(np.int32)
    where = RNG.random(shape) < 0.6
    batch = {name: logits.astype(np.float32), "labels": labels, "where": where}
    total, weight, sums = make(label_smoothing=smoothing)(lambda x: x, batch, None)
    wanted_total, wanted_correct = expected(logits, labels, where, smoothing)
    np.testing.assert_allclose(total, wanted_total, rtol=2e-6)
    assert float(weight) == where.sum() == int(sums["count"])
    assert int(sums["correct"]) == wanted_correct
    del batch["where"]
    _, weight, sums = make()(lambda x: x, batch, None)
    assert float(weight) == labels.size == int(sums["count"])
