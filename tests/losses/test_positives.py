"""Supervised contrastive loss against the paper's double loop, optax on pairs, and its ends."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.losses.contrastive import info_nce
from xentjax.losses.positives import supervised_contrastive

RNG = np.random.default_rng(0)
N, D = 8, 4
Z = RNG.normal(size=(N, D)).astype(np.float32)
LABELS = np.array([3, 3, -1, 3, -1, 9, 0, 0])  # 9 is alone
PAIRS = np.tile(np.arange(N // 2), 2)
EPS = 2.0**-23


def by_definition(z, labels, temperature):
    z = z.astype(np.float64)
    z = z / np.sqrt(np.sum(z * z, axis=1, keepdims=True))
    losses = np.zeros(len(z))
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        total = sum(math.exp(z[i] @ z[a] / temperature) for a in others)
        positives = [p for p in others if labels[p] == labels[i]]
        for p in positives:
            losses[i] -= math.log(math.exp(z[i] @ z[p] / temperature) / total) / len(positives)
    return losses


@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.01])
def test_losses_are_the_papers_double_loop(temperature):
    for labels in (LABELS, PAIRS, np.zeros(N, np.int8)):
        wanted = by_definition(Z, labels, temperature)
        got = supervised_contrastive(Z, labels, temperature=temperature)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=8 * EPS / temperature)


def test_pairs_are_nt_xent_in_value_and_gradient():
    def ours(z, temperature):
        return supervised_contrastive(z, PAIRS, temperature=temperature, reduction="mean")

    def theirs(z, temperature):
        return optax.ntxent(z, jnp.asarray(PAIRS), temperature)

    for temperature in (0.5, 0.07):
        got, wanted = (
            jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(jnp.asarray(Z), jnp.float32(temperature))
            for f in (ours, theirs)
        )
        for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            bound = 16 * EPS / temperature * np.abs(other).max()
            np.testing.assert_allclose(one, other, rtol=0, atol=bound)


def test_two_views_are_info_nce_with_the_other_queries_as_negatives():
    """One query: its key against all else, the one case in which both losses agree."""
    negatives = Z[2:]
    one = info_nce(Z[:1], Z[1:2], negatives=negatives, temperature=0.3)[0]
    labels = np.array([0, 0, *range(1, N - 1)])
    got = supervised_contrastive(Z, labels, temperature=0.3)[0]
    np.testing.assert_allclose(got, one, rtol=8 * EPS)


def test_an_anchor_without_positives_is_left_out_of_the_mean():
    weights = np.linspace(0.5, 2, N).astype(np.float32)
    losses = by_definition(Z, LABELS, 0.3)
    has = LABELS != 9
    wanted = np.sum((weights * losses)[has]) / np.sum(weights[has])

    def mean(z):
        options = {"temperature": 0.3, "reduction": "mean"}
        return supervised_contrastive(z, LABELS, weights=weights, **options)

    value, slope = jax.value_and_grad(mean)(jnp.asarray(Z))
    np.testing.assert_allclose(value, wanted, rtol=32 * EPS)
    assert np.any(slope[5])  # it stays the others' candidate
    lonely = jax.value_and_grad(
        lambda z: supervised_contrastive(z, np.arange(N), reduction="mean")
    )(jnp.asarray(Z))
    assert lonely[0] == 0
    assert not np.any(lonely[1])
    # A positive that is masked is none.
    keep = LABELS != -1
    keep[2] = True
    assert supervised_contrastive(Z, LABELS, where=keep)[2] == 0


@pytest.mark.parametrize("margin", [15.0, 30.0, 80.0])
def test_tight_classes_keep_every_digit(margin):
    """Two classes of two, orthogonal: log1p(2 e^{−1/τ}); optax gives 0 from 17 on."""
    z, labels = jnp.eye(2)[jnp.array([0, 1, 0, 1])], jnp.array([0, 1, 0, 1])

    def loss(temperature):
        return supervised_contrastive(z, labels, temperature=temperature)[0]

    value, slope = jax.value_and_grad(loss)(jnp.float32(1 / margin))
    off, exact = 2 * math.exp(-margin), 2e-6 + 12e-8 * margin  # 1/τ is rounded twice
    np.testing.assert_allclose(value, math.log1p(off), rtol=exact)
    np.testing.assert_allclose(slope, margin**2 * off / (1 + off), rtol=exact)


def test_order_and_names_of_the_labels_do_not_matter():
    order = RNG.permutation(N)
    losses = supervised_contrastive(Z, LABELS)
    np.testing.assert_allclose(
        supervised_contrastive(Z[order], LABELS[order] * 7 + 2), losses[order], rtol=1e-5
    )


def test_labels_that_cannot_be_right_are_refused():
    with pytest.raises(TypeError, match="labels must be integers that mark what belongs together"):
        supervised_contrastive(Z, LABELS.astype(np.float32))
    with pytest.raises(ValueError, match=r"one integer for each embedding: got shape \(7,\)"):
        supervised_contrastive(Z, LABELS[1:])
    with pytest.raises(ValueError, match="labels must fit int32, got -1 to 4294967299 as int64"):
        supervised_contrastive(Z, np.where(LABELS == 3, 2**32 + 3, LABELS))
