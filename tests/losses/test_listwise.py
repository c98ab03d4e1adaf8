"""The listwise softmax against optax and ListNet's formula; padding, empty and irrelevant lists."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.losses.listwise import listwise_softmax_loss
from xentjax.losses.softmax import softmax_cross_entropy

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(6, 5)).astype(np.float32)
GRADES = RNG.integers(0, 4, (6, 5))
ITEMS = np.arange(5) < np.array([5, 3, 4, 2, 1, 5])[:, None]
EPS = float(np.finfo(np.float32).eps)


def listnet(scores, grades):
    """Cross-entropy of the two top-one distributions of one list, in float64."""
    p, t = (np.exp(np.float64(x)) / np.exp(np.float64(x)).sum() for x in (scores, grades))
    return -np.sum(t * np.log(p))


def test_one_relevant_item_is_cross_entropy():
    labels = np.array([0, 4, 2, 2, 1, 3])
    got = listwise_softmax_loss(SCORES, np.eye(5, dtype=np.float32)[labels])
    np.testing.assert_allclose(got, softmax_cross_entropy(SCORES, labels), rtol=4 * EPS)


@pytest.mark.parametrize("items", [None, ITEMS])
def test_losses_and_mean_are_optaxs(items):
    grades = GRADES.copy()
    grades[2] = 0  # a list without relevance counts, and costs nothing
    loss = optax.losses.ranking_softmax_loss
    args = jnp.asarray(SCORES), jnp.asarray(grades)
    # optax has 0 · −inf in a masked sum, whose value is right; its gradient is not compared.
    got = listwise_softmax_loss(SCORES, grades, item_where=items)
    np.testing.assert_allclose(got, loss(*args, where=items, reduce_fn=None), rtol=8 * EPS)
    assert got[2] == 0
    mean = listwise_softmax_loss(SCORES, grades, item_where=items, reduction="mean")
    np.testing.assert_allclose(mean, loss(*args, where=items), rtol=8 * EPS)


def test_listnet_is_a_softmax_of_the_grades():
    relevance = jax.nn.softmax(jnp.asarray(GRADES, jnp.float32), where=ITEMS)
    got = listwise_softmax_loss(SCORES, relevance, item_where=ITEMS)
    wanted = [listnet(s[i], g[i]) for s, g, i in zip(SCORES, GRADES, ITEMS, strict=True)]
    np.testing.assert_allclose(got, wanted, rtol=8 * EPS, atol=8 * EPS)


def test_padding_is_as_if_cut_off_whatever_it_holds():
    scores, grades = np.where(ITEMS, SCORES, np.nan), np.where(ITEMS, GRADES, -1).astype(np.float32)

    def total(scores, grades, items):
        return listwise_softmax_loss(scores, grades, item_where=items, reduction="sum")

    eager = listwise_softmax_loss(scores, grades, item_where=ITEMS, reduction="sum")
    slope = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    value, slopes = slope(scores, grades, ITEMS)
    np.testing.assert_allclose(value, eager, rtol=4 * EPS)
    _, wanted = slope(scores[1:2, :3], grades[1:2, :3], ITEMS[1:2, :3])
    for got, one in zip(slopes, wanted, strict=True):
        np.testing.assert_allclose(got[1, :3], one[0], rtol=8 * EPS, atol=8 * EPS)
    assert not any(np.any(slope[~ITEMS]) for slope in slopes)


def test_a_list_without_items_counts_nothing():
    items = ITEMS & (np.arange(6) != 1)[:, None]
    got = listwise_softmax_loss(SCORES, GRADES, item_where=items, reduction="mean")
    kept = np.arange(6) != 1
    wanted = listwise_softmax_loss(SCORES[kept], GRADES[kept], item_where=ITEMS[kept])
    np.testing.assert_allclose(got, np.mean(wanted), rtol=4 * EPS)
    by_where = listwise_softmax_loss(SCORES, GRADES, item_where=ITEMS, where=kept, reduction="mean")
    np.testing.assert_array_equal(got, by_where)


def test_margins_and_offsets_lose_no_digits():
    scores = jnp.array([[30.0, 0.0], [1e7 + 1, 1e7], [0.0, -jnp.inf]])
    got = listwise_softmax_loss(scores, jnp.array([[2.0, 0.0]] * 3))
    np.testing.assert_allclose(got, [2 * np.exp(-30), 2 * np.log1p(np.exp(-1)), 0], rtol=4 * EPS)


def test_axis_and_sixteen_bits():
    scores = jnp.asarray(SCORES, jnp.bfloat16)
    got = listwise_softmax_loss(scores.T, GRADES.T, item_where=ITEMS.T, axis=0)
    assert got.dtype == jnp.float32
    wanted = listwise_softmax_loss(np.float32(scores), GRADES, item_where=ITEMS)
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS)


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="relevance must have the shape of scores: got"):
        listwise_softmax_loss(SCORES, GRADES[0])
    with pytest.raises(ValueError, match=r"relevance must be .* non-negative, got -1.0 at"):
        listwise_softmax_loss(SCORES, GRADES - 1)
    with pytest.raises(TypeError, match="item_where must be boolean, got int"):
        listwise_softmax_loss(SCORES, GRADES, item_where=ITEMS.astype(int))
    with pytest.raises(ValueError, match="item_where must be broadcastable to scores"):
        listwise_softmax_loss(SCORES, GRADES, item_where=ITEMS[:, :2])
    bad = jnp.array([[1.0, 0.0], [1.0, -1.0]])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(listwise_softmax_loss)))(
        jnp.zeros((2, 2)), bad
    )
    np.testing.assert_array_equal(np.isnan(value), [False, True])
    np.testing.assert_array_equal(np.isnan(slope).all(1), [False, True])
