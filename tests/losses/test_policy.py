"""GRPO against TRL's formula in float64, its gradients in closed form, and its group advantages."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax.losses.policy import group_advantages, grpo_loss

RNG = np.random.default_rng(0)
NEW, OLD, REFERENCE = (
    jnp.asarray(-1 - np.abs(RNG.normal(size=(4, 7))), jnp.float32) for _ in range(3)
)
ADVANTAGES = jnp.asarray(RNG.normal(size=4), jnp.float32)


def trl(new, old, advantages, low, high, reference, beta):
    """Per-token losses as TRL's GRPOTrainer writes them, in float64."""
    new, old, reference = (np.asarray(x, np.float64) for x in (new, old, reference))
    advantages = np.asarray(advantages, np.float64)[:, None]
    ratio = np.exp(new - old)
    losses = -np.minimum(ratio * advantages, np.clip(ratio, 1 - low, 1 + high) * advantages)
    return losses + beta * (np.exp(reference - new) - (reference - new) - 1)


@pytest.mark.parametrize(("low", "high", "beta"), [(0.2, 0.2, 0.0), (0.1, 0.28, 0.04)])
def test_losses_are_what_trl_states(low, high, beta):
    got = grpo_loss(NEW, OLD, ADVANTAGES, REFERENCE, clip_low=low, clip_high=high, kl_weight=beta)
    wanted = trl(NEW, OLD, ADVANTAGES, low, high, REFERENCE, beta)
    # The exponents, up to 3, are known to eps: 3 eps of ratios up to 20.
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-6)


def test_means_over_tokens_over_answers_and_by_a_constant():
    lengths = np.array([[7], [3], [1], [4]])
    where = np.arange(7) < lengths
    tokens = trl(NEW, OLD, ADVANTAGES, 0.2, 0.2, REFERENCE, 0.0)
    by_answer = [row[keep].mean() for row, keep in zip(tokens, where, strict=True)]

    def got(**options):
        return grpo_loss(NEW, OLD, ADVANTAGES, where=where, **options)

    np.testing.assert_allclose(got(reduction="mean"), tokens[where].mean(), rtol=2e-6)
    mean = got(weights=jnp.asarray(1 / lengths, jnp.float32), reduction="mean")
    np.testing.assert_allclose(mean, np.mean(by_answer), rtol=2e-6)
    np.testing.assert_allclose(got(reduction="sum"), tokens[where].sum(), rtol=2e-6)


def test_on_policy_gradient_is_the_policy_gradient():
    def loss(x, **options):
        return jnp.sum(grpo_loss(x, x, ADVANTAGES, **options))

    wanted = -np.broadcast_to(np.asarray(ADVANTAGES)[:, None], NEW.shape)
    # At ρ = 1 both sides of the minimum meet, even where clipping leaves no room at all.
    for room in ({}, {"clip_low": 0.0, "clip_high": 0.0}, {"clip_low": np.inf}):
        np.testing.assert_array_equal(jax.grad(loss)(NEW, **room), wanted)


def test_without_clipping_it_is_importance_sampling_and_with_it_the_pull_ends():
    free = grpo_loss(NEW, OLD, ADVANTAGES, clip_low=np.inf, clip_high=np.inf)
    ratio = np.exp(np.asarray(NEW, np.float64) - np.asarray(OLD))
    wanted = -ratio * np.asarray(ADVANTAGES)[:, None]
    np.testing.assert_allclose(free, wanted, rtol=1e-6)

    slope = jax.grad(lambda x: jnp.sum(grpo_loss(x, OLD, ADVANTAGES)))(NEW)
    good = np.asarray(ADVANTAGES)[:, None] > 0
    spent = np.where(good, ratio > 1.2, ratio < 0.8)
    assert 4 < spent.sum() < 24
    np.testing.assert_allclose(slope, np.where(spent, 0, wanted), rtol=1e-6)


def test_only_the_policy_is_differentiated():
    def loss(*arrays):
        return jnp.sum(grpo_loss(*arrays, kl_weight=0.1))

    slopes = jax.grad(loss, (0, 1, 2, 3))(NEW, OLD, ADVANTAGES, REFERENCE)
    assert np.all(slopes[0] != 0)
    assert not any(np.any(s) for s in slopes[1:])


def test_kl_estimate_keeps_its_digits_near_the_reference():
    gap = np.array([-19.0, -3.0, -0.5, -0.49, -1e-3, -1e-6, 0, 1e-8, 1e-4, 0.49, 0.5, 5.0, 19.0])
    gap = gap.astype(np.float32)
    zero = jnp.zeros_like(gap)

    def kl(new):
        return grpo_loss(new, zero, zero, zero, kl_weight=1.0)

    value, slope = jax.jit(lambda x: (kl(x), jax.grad(lambda y: jnp.sum(kl(y)))(x)))(-gap)
    with mpmath.workdps(50):
        exact = [mpmath.expm1(mpmath.mpf(float(g))) for g in gap]
        wanted = [float(e - mpmath.mpf(float(g))) for e, g in zip(exact, gap, strict=True)]
    # The series has a dozen roundings of falling size; e^x those of x.
    np.testing.assert_allclose(value, wanted, rtol=20 * 1.2e-7)
    np.testing.assert_allclose(slope, [-float(e) for e in exact], rtol=20 * 1.2e-7)


@pytest.mark.usefixtures("x64")
def test_kl_estimate_is_exact_in_double_precision():
    gap = np.array([-0.4999, -1e-5, 1e-9, 0.4999, 0.7])
    zero = jnp.zeros_like(gap)
    with mpmath.workdps(50):
        wanted = [float(mpmath.expm1(mpmath.mpf(g)) - mpmath.mpf(g)) for g in gap]
    np.testing.assert_allclose(grpo_loss(-gap, zero, zero, zero, kl_weight=1.0), wanted, rtol=5e-15)


def test_a_policy_that_ran_away_is_pulled_back_with_finite_force():
    new = jnp.array([[19.999, 20.001, 1e4], [-1e4, 1e4, -jnp.inf]])
    old, reference = jnp.zeros((2, 3)), jnp.array([[0.0, 0.0, 0.0], [1e4, 0.0, -1e4]])

    def loss(x):
        return jnp.sum(grpo_loss(x, old, jnp.array([-1.0, 2.0]), reference, kl_weight=0.0))

    value, slope = jax.value_and_grad(loss)(new)
    assert np.isfinite(value)
    # The line begins with the exponential's value and slope; a clipped or impossible token
    # pulls nowhere.
    np.testing.assert_allclose(slope[0], np.exp(20) * np.array([np.exp(-0.001), 1, 1]), rtol=3e-6)
    np.testing.assert_array_equal(slope[1], np.zeros(3))


def test_masked_tokens_do_not_exist():
    where = np.arange(7) < np.array([[7], [3], [1], [0]])
    spoilt = [jnp.where(where, x, bad) for x, bad in ((NEW, np.nan), (OLD, -np.inf))]
    advantages = ADVANTAGES.at[3].set(np.nan)

    def loss(x):
        return grpo_loss(x, spoilt[1], advantages, where=where, reduction="mean")

    value, slope = jax.value_and_grad(loss)(spoilt[0])
    wanted = trl(NEW, OLD, ADVANTAGES, 0.2, 0.2, REFERENCE, 0.0)[where].mean()
    np.testing.assert_allclose(value, wanted, rtol=2e-6)
    assert np.isfinite(slope).all()
    assert not np.any(slope[~where])


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="belong together, got only kl_weight"):
        grpo_loss(NEW, OLD, ADVANTAGES, kl_weight=0.1)
    with pytest.raises(ValueError, match="belong together, got only reference_log_probs"):
        grpo_loss(NEW, OLD, ADVANTAGES, REFERENCE)
    with pytest.raises(ValueError, match=r"advantages must be one for .* got shape \(7,\), wanted"):
        grpo_loss(NEW, OLD, jnp.ones(7))
    with pytest.raises(ValueError, match=r"clip_high must be non-negative, got -0\.1"):
        grpo_loss(NEW, OLD, ADVANTAGES, clip_high=-0.1)
    with pytest.raises(ValueError, match="old_log_probs must have the shape of log_probs"):
        grpo_loss(NEW, OLD[:, :1], ADVANTAGES)
    value, slope = jax.jit(
        jax.value_and_grad(lambda x, e: grpo_loss(x, OLD, ADVANTAGES, clip_low=e, reduction="mean"))
    )(NEW, -0.5)
    assert np.isnan(value)
    assert np.isnan(slope).all()


def test_group_advantages_are_standard_scores_of_the_group():
    rewards = jnp.asarray(RNG.normal(size=(5, 6)) + 1e3, jnp.float32)
    where = RNG.random((5, 6)) < 0.7
    where[4] = False
    got = group_advantages(jnp.where(where, rewards, jnp.nan), where=where)
    for ours, row, keep in zip(got, np.asarray(rewards, np.float64), where, strict=True):
        assert not np.any(ours[~keep])
        if keep.any():
            wanted = (row[keep] - row[keep].mean()) / row[keep].std()
            np.testing.assert_allclose(ours[keep], wanted, atol=2e-6)
    np.testing.assert_array_equal(group_advantages(rewards.T, axis=0), group_advantages(rewards).T)


def test_equal_rewards_give_no_advantage_and_no_nan():
    assert not np.any(jax.grad(lambda x: group_advantages(x)[0])(jnp.array([1.0, 2.0])))
    rewards = jnp.array([[0.1] * 3, [1e7] * 3, [0.0, 1e-30, 2e-30], [-3e37, 0.0, 3e36]])

    got = group_advantages(rewards)
    assert not np.any(got[:2])
    # Spreads whose squares would underflow or overflow float32.
    np.testing.assert_allclose(got[2], np.array([-1, 0, 1]) * np.sqrt(1.5), rtol=1e-6, atol=1e-6)
    row = np.array([-3e37, 0, 3e36])
    np.testing.assert_allclose(got[3], (row - row.mean()) / row.std(), rtol=1e-6)


def test_an_answer_without_advantage_costs_nothing_however_surprising():
    old = jnp.array([[-jnp.inf]])
    value, slope = jax.value_and_grad(lambda x: jnp.sum(grpo_loss(x, old, jnp.zeros(1))))(
        jnp.array([[-1.0]])
    )
    assert value == 0
    assert slope == 0
