"""Wilson's interval against scipy and mpmath, the bootstrap against scipy and its coverage."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats

from xentjax.metrics.intervals import _RESAMPLED_AT_ONCE, bootstrap_interval, wilson_interval


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilson_is_scipys(confidence):
    n = np.array([1, 1, 2, 7, 10, 10, 100, 100, 1000, 54321])
    k = np.array([0, 1, 1, 3, 0, 10, 1, 99, 500, 54000])
    found = wilson_interval(k, n, confidence=confidence)
    wanted = [
        scipy.stats.binomtest(int(a), int(b)).proportion_ci(confidence, "wilson")
        for a, b in zip(k, n, strict=True)
    ]
    # z is known to some ten eps, each end to that.
    np.testing.assert_allclose(found.low, [w.low for w in wanted], rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(found.high, [w.high for w in wanted], rtol=2e-6)


def test_rare_events_keep_their_digits():
    # 3 of a hundred million: k/n − half the width would cancel to nothing.
    found = wilson_interval(jnp.array([3, 10**8 - 3]), 10**8)
    with mpmath.workdps(50):
        z, k, n = mpmath.sqrt(2) * mpmath.erfinv(mpmath.mpf("0.95")), 3, mpmath.mpf(10) ** 8
        middle, root = k + z**2 / 2, z * mpmath.sqrt(k * (n - k) / n + z**2 / 4)
        low, high = ((middle + s * root) / (n + z**2) for s in (-1, 1))
    np.testing.assert_allclose(found.low[0], float(low), rtol=2e-6)
    np.testing.assert_allclose(found.high[0], float(high), rtol=2e-6)
    np.testing.assert_allclose(found.low[1], float(1 - high), rtol=2e-7)
    ends = wilson_interval(jnp.array([0, 5]), 5)
    assert ends.low[0] == 0
    assert ends.high[1] == 1
    nothing = wilson_interval(0, 0)
    assert (nothing.low, nothing.high) == (0, 1)


def test_wilson_refuses_what_is_no_fraction():
    with pytest.raises(ValueError, match=r"successes must lie in \[0, n\], got 6 of 5 at .*\(1,"):
        wilson_interval(jnp.array([1, 6]), 5)
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 95"):
        wilson_interval(1, 5, confidence=95)
    with pytest.raises(ValueError, match="n must have the shape of successes"):
        wilson_interval(jnp.array([1, 2]), jnp.array([5, 5, 5]))
    found = jax.jit(wilson_interval)(jnp.array([1, 6]), 5)
    assert np.isnan(found.low[1])
    assert np.isnan(found.high[1])
    assert np.isfinite(found.low[0])


def mean_and_correlation(x, y):
    return jnp.stack([jnp.mean(x), jnp.corrcoef(x, y)[0, 1]])


def test_bootstrap_is_scipys_within_chance():
    rng = np.random.default_rng(0)
    x = rng.normal(size=80).astype(np.float32)
    y = (x + rng.normal(size=80)).astype(np.float32)
    resamples = 4000
    found = bootstrap_interval(
        jax.random.key(1), mean_and_correlation, x, y, resamples=resamples, confidence=0.9
    )
    assert found.resampled.shape == (resamples, 2)
    np.testing.assert_allclose(found.estimate, [x.mean(), np.corrcoef(x, y)[0, 1]], rtol=1e-5)

    for i, statistic in enumerate((np.mean, lambda a, b: np.corrcoef(a, b)[0, 1])):
        theirs = scipy.stats.bootstrap(
            (x, y)[: i + 1],
            statistic,
            paired=True,
            vectorized=False,
            n_resamples=resamples,
            confidence_level=0.9,
            method="percentile",
            rng=np.random.default_rng(2),
        )
        # A 5 % quantile of n draws has the standard error √(0.05 · 0.95 / n) / density, which is
        # 2.1 σ/√n for a normal; two of them differ by √2 of that, and by less than 4 such.
        chance = 4 * np.sqrt(2) * 2.1 * theirs.standard_error / np.sqrt(resamples)
        assert abs(found.low[i] - theirs.confidence_interval.low) < chance
        assert abs(found.high[i] - theirs.confidence_interval.high) < chance
        np.testing.assert_allclose(np.std(found.resampled[:, i]), theirs.standard_error, rtol=0.06)


def test_arrays_are_resampled_together_and_in_bounded_chunks():
    n = 2000
    labels = np.arange(n)

    def disagreement(a, b):
        return jnp.sum(a != b)

    found = bootstrap_interval(jax.random.key(0), disagreement, labels, labels, resamples=16)
    assert not np.any(found.resampled)
    wide = jax.ShapeDtypeStruct((n, 500), jnp.float32)

    def interval(x):
        return bootstrap_interval(jax.random.key(0), jnp.mean, x, resamples=64).low

    memory = jax.jit(interval).lower(wide).compile().memory_analysis()
    assert memory is not None
    # Four resamples of 10⁶ numbers at once, not 64: their copies and indices, and some room.
    assert memory.temp_size_in_bytes < 3 * 4 * _RESAMPLED_AT_ONCE


def test_bootstrap_refuses_what_it_cannot_resample():
    key, x = jax.random.key(0), jnp.ones(5)
    with pytest.raises(ValueError, match="arrays must have the same number of examples"):
        bootstrap_interval(key, jnp.mean, x, jnp.ones(4))
    for arrays in ((), (jnp.ones(()),), (jnp.ones((0, 3)),)):
        with pytest.raises(ValueError, match="arrays must have the same number of examples"):
            bootstrap_interval(key, jnp.mean, *arrays)
    with pytest.raises(ValueError, match="resamples must be at least 2, got 1"):
        bootstrap_interval(key, jnp.mean, x, resamples=1)
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 1.5"):
        bootstrap_interval(key, jnp.mean, x, confidence=1.5)


@pytest.mark.slow
def test_bootstrap_covers_a_known_mean(report_figure):
    n, trials, resamples = 60, 1000, 500

    @jax.jit
    @jax.vmap
    def covers(key):
        sample, resample = jax.random.split(key)
        x = jax.random.normal(sample, (n,))
        found = bootstrap_interval(resample, jnp.mean, x, resamples=resamples, confidence=0.9)
        return (found.low <= 0) & (found.high >= 0)

    rate = float(jnp.mean(covers(jax.random.split(jax.random.key(0), trials))))
    report_figure(f"a 90 % bootstrap interval of 60 examples covered the mean in {rate:.1%}")
    # The percentile interval is √(59/60) narrow and normal where t is due: 89 % to be expected.
    # Four standard errors of a thousand trials are 4 %.
    assert abs(rate - 0.89) < 0.04


@pytest.mark.parametrize(("k", "n"), [(2**32, 2**33), (2**32 + 5, 2**33 + 10), (3, 2**40)])
def test_counts_of_64_bits_do_not_wrap(k, n):
    wanted = scipy.stats.binomtest(k, n).proportion_ci(0.95, "wilson")
    for found in (wilson_interval(np.int64(k), np.int64(n)), wilson_interval(k, n)):
        # scipy's lower end of few successes cancels: it keeps some 1e-5 of it.
        np.testing.assert_allclose(found, wanted, rtol=2e-5 if k == 3 else 2e-6)
