"""The normalization itself: every β, rows made to slow Newton down, many classes, float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.losses.deformed_softmax import Rate, below_top, deformed_exp, log_normalizer

RNG = np.random.default_rng(0)
RATES = (1.0, 0.5, 0.9, 1e-3, 0.0, -1e-3, -0.2, -0.7, -3.0)


def rows(classes):
    """Normal, tied, sharp, and with gaps that halve towards the threshold from both sides."""
    gaps = 0.5 ** np.arange(classes)
    return np.stack(
        [
            RNG.normal(size=classes),
            np.zeros(classes),
            30 * RNG.normal(size=classes),
            gaps,
            -gaps,
            np.where(np.arange(classes) < 2, 0.5, -0.5 - gaps),
            np.where(np.arange(classes) < 2, 0.5, -0.5 + gaps),
        ]
    )


def probabilities(x, beta, power=None):
    v, rate = below_top(x), Rate(beta, power)
    return deformed_exp(v - log_normalizer(v, rate), rate).shares


shares = jax.jit(probabilities)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("classes", [1, 40, 5000])
def test_probabilities_sum_to_one_for_every_rate(classes):
    x = jnp.asarray(rows(classes))
    for beta in RATES:
        p = np.asarray(shares(x, jnp.float64(beta)))
        # v − λ is rounded, and S is summed over C classes; each moves p by p^(1−β) of it.
        slack = 16 * classes**0.5 * 2.0**-52 * (1 + np.sum(p ** (1 - beta), -1, where=p > 0))
        assert np.all(np.abs(p.sum(-1) - 1) <= slack * max(1, classes**-beta)), beta


def test_whole_powers_are_the_general_ones():
    x = jnp.asarray(rows(40), jnp.float32)
    for power in (1, 2, 4, -5, -2, -1):
        known = jax.jit(partial(probabilities, power=power))(x, jnp.float32(1 / power))
        wanted = shares(x, jnp.float32(1 / power))
        np.testing.assert_allclose(known, wanted, rtol=0, atol=16 * 2.0**-23)


def test_a_row_without_classes_is_nan_and_ends():
    x = jnp.full((7, 40), -jnp.inf).at[1:].set(0.0)
    p = np.asarray(shares(x, jnp.float32(0.5)))
    assert np.isnan(p[0]).all()
    np.testing.assert_allclose(p[1:], 1 / 40, rtol=16 * 2.0**-23)
