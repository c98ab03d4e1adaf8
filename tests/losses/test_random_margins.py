"""Random logits of every scale against float64: what a grid of chosen margins could miss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xentjax


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 7, 64, 300, 512, 1009, 4096, 50257])
@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 30.0])
def test_value_and_gradient_match_float64_at_every_scale(classes, scale):
    rng = np.random.default_rng(classes)
    rows = max(4, 200_000 // classes)
    logits = (rng.normal(size=(rows, classes)) * scale).astype(np.float32)
    labels = np.where(rng.random(rows) < 0.5, logits.argmax(1), rng.integers(0, classes, rows))

    def total(x):
        losses = xentjax.softmax_cross_entropy(x, labels)
        return jnp.sum(losses), losses

    (_, losses), slopes = jax.jit(jax.value_and_grad(total, has_aux=True))(logits)
    alone = jax.jit(xentjax.softmax_cross_entropy)(logits, labels)

    x = np.float64(logits)
    gap = x - x[np.arange(rows), labels][:, None]
    gap[np.arange(rows), labels] = -np.inf
    rest = np.exp(gap).sum(1)  # Σ over the others, relative to the label: nothing cancels
    wanted = np.log1p(rest)
    wanted_slopes = np.exp(gap) / (1 + rest)[:, None]
    wanted_slopes[np.arange(rows), labels] = -rest / (1 + rest)
    margin = np.ptp(x, axis=1)
    allowed = 1e-6 + 6e-8 * margin
    floor = classes * float(np.finfo(np.float32).tiny)
    for got in (losses, alone):
        assert (np.abs(got - wanted) <= allowed * wanted + floor).all()
    errors = np.abs(slopes - wanted_slopes)
    assert (errors <= allowed[:, None] * np.abs(wanted_slopes) + floor).all()
