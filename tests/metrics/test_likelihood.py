"""Perplexity, bits per byte, log and Brier scores against scikit-learn and float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from xentjax.metrics.likelihood import BitsPerByte, BrierScore, LogScore, Perplexity, Sharpness

RNG = np.random.default_rng(0)
N, C = 40, 4
COUNT = 30
METRICS = {
    "log": LogScore(),
    "Brier": BrierScore(),
    "event": BrierScore(),
    "sharpness": Sharpness(),
}


@jax.jit
def ours(logits, labels, where, weights):
    """All scores of one draw, in one program."""
    log, brier, event, sharpness = METRICS.values()
    p = jax.nn.softmax(logits)
    options = {"where": where, "weights": weights}
    return (
        log.compute(log.update(log.init(), logits, labels, **options)),
        brier.compute(brier.update(brier.init(), p, labels, **options)),
        event.compute(event.update(event.init(), p[:, 0], labels == 0, **options)),
        sharpness.compute(sharpness.update(sharpness.init(), p, **options)),
    )


def draw(i):
    """Random cases: mild and sharp, one class absent or alone, weights of 0, almost all masked."""
    rng = np.random.default_rng(i)
    logits = (rng.normal(size=(N, C)) * [0.0, 1.0, 8.0][i % 3]).astype(np.float32)
    labels = rng.integers(C, size=N) if i % 5 else np.full(N, i % C)
    where = rng.random(N) < [1.0, 0.5, 0.1][i % 3]
    where[0] = True
    weights = rng.random(N).astype(np.float32) * (rng.random(N) < 0.7 if i % 2 else 1)
    weights[0] = 1
    return logits, labels.astype(np.int32), where, weights


def test_scores_are_scikit_learns(report_figure):
    for i in range(COUNT):
        logits, labels, where, weights = draw(i)
        got = ours(logits, labels, where, weights)
        p = np.exp(logits - np.logaddexp.reduce(logits.astype(np.float64), -1, keepdims=True))
        p, labels, w = p[where], labels[where], weights[where].astype(np.float64)
        wanted = (
            log_loss(labels, p, sample_weight=w, labels=range(C)),
            brier_score_loss(labels, p, sample_weight=w, labels=range(C)),
            brier_score_loss(labels == 0, p[:, 0], sample_weight=w, pos_label=True),
            np.average(p.max(-1), weights=w),
        )
        # Probabilities are known to 8 eps where logits reach 30.
        np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=1e-6)
    report_figure(f"proper scores: {COUNT} random and adversarial cases equal scikit-learn's")


def test_two_classes_cost_twice_the_event():
    p, happened = jnp.array([0.125, 0.5, 0.75]), jnp.array([1, 0, 1])
    brier = BrierScore()
    event = brier.compute(brier.update(brier.init(), p, happened))
    rows = jnp.stack([1 - p, p], -1)
    classes = brier.compute(brier.update(brier.init(), rows, happened))
    assert classes == 2 * event
    assert event == pytest.approx(brier_score_loss(happened, p), abs=1e-7)
    halved = brier_score_loss(happened, rows, scale_by_half=False)
    assert classes == pytest.approx(halved, abs=1e-7)


def test_perplexity_and_bits_are_of_the_whole_and_not_a_mean_of_parts():
    losses = RNG.gamma(2.0, size=60).astype(np.float32)
    n_bytes = RNG.integers(1, 9, size=60)
    perplexity, bits = Perplexity(), BitsPerByte()
    words, text = perplexity.init(), bits.init()
    for part in np.split(np.arange(60), [7, 50]):
        words = perplexity.update(words, losses[part])
        text = bits.update(text, losses[part], n_bytes[part])
    double = losses.astype(np.float64)
    np.testing.assert_allclose(perplexity.compute(words), np.exp(double.mean()), rtol=1e-6)
    wanted = double.sum() / np.log(2) / n_bytes.sum()
    np.testing.assert_allclose(bits.compute(text), wanted, rtol=1e-6)


def test_an_impossible_event_costs_infinitely_and_sixteen_bits_are_widened():
    log, brier = LogScore(), BrierScore()
    logits = jnp.array([[0.0, -jnp.inf], [0.0, 0.0]])
    assert log.compute(log.update(log.init(), logits, jnp.array([1, 0]))) == np.inf
    assert brier.compute(brier.update(brier.init(), jnp.array([[1.0, 0.0]]), jnp.array([1]))) == 2
    half = jnp.array([[0.3, 0.7]], jnp.bfloat16)
    got = brier.compute(brier.update(brier.init(), half, jnp.array([1])))
    wide = np.asarray(half, np.float64)
    np.testing.assert_allclose(got, np.sum((wide - [[0, 1]]) ** 2), rtol=1e-6)


def test_bytes_never_wrap_and_weights_of_every_score_are_non_negative():
    metric, losses = BitsPerByte(), jnp.full(3, 2.0**30)
    state = metric.update(metric.init(), losses, np.full(3, 2**30))  # 3 GiB of text
    np.testing.assert_allclose(metric.compute(state), 1 / np.log(2), rtol=1e-6)
    with pytest.raises(ValueError, match=r"n_bytes must lie in \[0, 2\*\*31 - 1\), got 10995"):
        metric.update(metric.init(), losses, np.full(3, 2**40))
    half = metric.update(metric.init(), jnp.full(4, 60000, jnp.float16), jnp.full(4, 30000))
    np.testing.assert_allclose(metric.compute(half), 2 / np.log(2), rtol=1e-6)
    logits, labels = jnp.zeros((2, 2)), jnp.array([0, 1])
    for metric, batch in ((LogScore(), (logits, labels)), (Perplexity(), (jnp.ones(2),))):
        with pytest.raises(ValueError, match="weights must be non-negative and finite, got -1"):
            metric.update(metric.init(), *batch, weights=jnp.array([-1.0, 2.0]))
