"""Ordinal losses against their papers' formulas; two classes are the sigmoid."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax.losses.ordinal import coral_loss, corn_loss, soft_ordinal_targets
from xentjax.losses.sigmoid import sigmoid_cross_entropy
from xentjax.losses.softmax import softmax_cross_entropy

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(scale=3, size=(30, 4)).astype(np.float32)  # 5 classes
LABELS = np.arange(30) % 5
EPS = float(np.finfo(np.float32).eps)
BOTH = pytest.mark.parametrize("loss", [coral_loss, corn_loss])


def log_sigmoid(x):
    return -mpmath.log1p(mpmath.exp(-mpmath.mpf(float(x))))


def coral(logits, label):
    """The paper's sum over tasks, in 50 digits."""
    with mpmath.workdps(50):
        levels = [int(label > k) for k in range(len(logits))]
        terms = [
            log_sigmoid(x) * level + log_sigmoid(-x) * (1 - level)
            for x, level in zip(logits, levels, strict=True)
        ]
        return float(-sum(terms))


def corn(logits, label):
    """−log P(y) from the conditional probabilities, in 50 digits."""
    with mpmath.workdps(50):
        terms = [log_sigmoid(x) for x in logits[:label]]
        if label < len(logits):
            terms.append(log_sigmoid(-logits[label]))
        return float(-sum(terms))


@pytest.mark.parametrize(("loss", "truth"), [(coral_loss, coral), (corn_loss, corn)])
def test_losses_are_those_of_the_paper(loss, truth):
    wanted = [truth(x, y) for x, y in zip(LOGITS, LABELS, strict=True)]
    np.testing.assert_allclose(loss(LOGITS, LABELS), wanted, rtol=8 * EPS)


def test_coral_is_torchs_binary_cross_entropy_of_levels():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    logits = torch.tensor(LOGITS, requires_grad=True)
    levels = torch.tensor((LABELS[:, None] > np.arange(4)).astype(np.float32))
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, levels, reduction="sum")
    wanted.backward()
    value, slope = jax.value_and_grad(coral_loss)(LOGITS, LABELS, reduction="sum")
    np.testing.assert_allclose(value, float(wanted.detach()), rtol=30 * EPS)
    np.testing.assert_allclose(slope, logits.grad.numpy(), atol=4 * EPS)


def test_corns_mean_of_the_paper_is_the_sum_by_the_questions():
    total, questions = 0.0, 0
    for k in range(4):  # each task on the examples that reached it
        reached = k <= LABELS
        x, y = np.float64(LOGITS[reached, k]), LABELS[reached] > k
        total += np.sum(np.logaddexp(0, np.where(y, -x, x)))
        questions += reached.sum()
    got = corn_loss(LOGITS, LABELS, reduction="sum") / jnp.minimum(LABELS + 1, 4).sum()
    np.testing.assert_allclose(got, total / questions, rtol=8 * EPS)


def test_corn_is_a_distribution_over_the_classes():
    losses = [corn_loss(LOGITS, np.full(30, y)) for y in range(5)]
    np.testing.assert_allclose(np.sum(np.exp(-np.array(losses)), 0), 1, rtol=16 * EPS)


@BOTH
def test_two_classes_are_the_sigmoid(loss):
    logits, labels = LOGITS[:, :1], LABELS % 2
    wanted = sigmoid_cross_entropy(logits[:, 0], labels)
    np.testing.assert_allclose(loss(logits, labels), wanted, rtol=2 * EPS)


@BOTH
def test_extremes_and_certain_answers(loss):
    logits = jnp.array([[30.0, -30.0], [1e4, -1e4], [jnp.inf, -jnp.inf]])

    def both(logits):
        losses, vjp = jax.vjp(lambda x: loss(x, jnp.ones(3, int)), logits)
        return losses, vjp(jnp.ones(3))[0]

    for run in (both, jax.jit(both)):  # XLA turns 0·x into a select, and so can hide a NaN
        losses, slope = run(logits)
        np.testing.assert_allclose(losses, [2 * np.exp(-30.0), 0, 0], rtol=4 * EPS)
        np.testing.assert_allclose(
            slope, [[-np.exp(-30.0), np.exp(-30.0)], [0, 0], [0, 0]], rtol=4 * EPS
        )
    assert loss(jnp.array([-jnp.inf, 0.0]), jnp.array(1)) == jnp.inf


@BOTH
def test_masked_and_ignored_rows_reach_nothing(loss):
    keep = LABELS != 3
    logits = np.where(keep[:, None], LOGITS, np.nan)
    bits = jnp.asarray(logits, jnp.bfloat16)

    def mean(logits, labels, **options):
        return loss(logits, labels, reduction="mean", **options)

    wanted = mean(np.float32(bits[keep]), LABELS[keep])
    for options in ({"where": keep}, {"ignore_index": 3}):
        value, slope = jax.jit(jax.value_and_grad(lambda x, y, o=options: mean(x, y, **o)))(
            bits, LABELS
        )
        np.testing.assert_allclose(value, wanted, rtol=4 * EPS)
        assert value.dtype == jnp.float32
        assert slope.dtype == jnp.bfloat16
        assert not np.any(slope[~keep])
    np.testing.assert_array_equal(
        loss(LOGITS.T, LABELS, axis=0, weights=np.arange(30)), loss(LOGITS, LABELS) * np.arange(30)
    )


def test_a_question_that_is_not_put_reaches_nothing():
    logits = jnp.array([0.5, jnp.nan, jnp.inf])
    value, slope = jax.value_and_grad(corn_loss)(logits, jnp.array(0))
    np.testing.assert_allclose(value, np.log1p(np.exp(0.5)), rtol=2 * EPS)
    np.testing.assert_allclose(slope, [1 / (1 + np.exp(-0.5)), 0, 0], rtol=2 * EPS)


@BOTH
def test_bad_input_is_refused_or_nan(loss):
    message = r"labels must lie in \[0, 5\), got 5 at position \(1,\)"
    with pytest.raises(ValueError, match=message):
        loss(LOGITS[:2], np.array([4, 5]))
    with pytest.raises(TypeError, match="labels must be integer classes, in order, got float"):
        loss(LOGITS, LABELS.astype(np.float32))
    with pytest.raises(ValueError, match="which stand for 5 ordered classes"):
        loss(LOGITS, LABELS[:3])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(loss)))(LOGITS[:3], jnp.array([4, 5, -1]))
    np.testing.assert_array_equal(np.isnan(value), [False, True, True])
    assert np.isfinite(slope[0]).all()
    assert np.isnan(slope[1:]).all()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 7.0])
def test_soft_targets_are_those_of_the_paper(temperature):
    got = soft_ordinal_targets(LABELS, 5, temperature=temperature)
    mass = np.exp(-np.abs(np.arange(5) - LABELS[:, None]) / temperature)
    # exp doubles the rounding of an exponent up to 4 / 0.3.
    np.testing.assert_allclose(got, mass / mass.sum(1, keepdims=True), rtol=(4 + 14) * EPS)


def test_soft_targets_end_in_one_hot_and_uniform():
    np.testing.assert_array_equal(
        soft_ordinal_targets(LABELS, 5, temperature=1e-3), np.eye(5)[LABELS]
    )
    uniform = soft_ordinal_targets(LABELS, 5, temperature=1e9)
    np.testing.assert_allclose(uniform, np.full((30, 5), 0.2), rtol=4 * EPS)
    logits = np.concatenate([LOGITS, LOGITS[:, :1]], 1)
    got = softmax_cross_entropy(logits, soft_ordinal_targets(LABELS, 5, temperature=1e-3))
    np.testing.assert_allclose(got, softmax_cross_entropy(logits, LABELS), rtol=4 * EPS)


def test_bad_labels_have_no_targets():
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 5\), got -1"):
        soft_ordinal_targets(jnp.array([0, -1]), 5)
    with pytest.raises(ValueError, match="temperature must be positive"):
        soft_ordinal_targets(jnp.array([0]), 5, temperature=0.0)
    with pytest.raises(ValueError, match="classes must be at least 1"):
        soft_ordinal_targets(jnp.array([0]), 0)
    got = jax.jit(soft_ordinal_targets, static_argnums=1)(jnp.array([0, -1, 5]), 5)
    np.testing.assert_array_equal(np.isnan(got).all(1), [False, True, True])
    assert np.isfinite(got[0]).all()
