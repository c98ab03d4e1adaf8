"""InfoNCE and CLIP against the papers' formulas, torch, and closed forms at sharp temperatures."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax import softmax_cross_entropy
from xentjax.losses.contrastive import clip_loss, info_nce

RNG = np.random.default_rng(0)
N, D = 6, 4
X = RNG.normal(size=(N, D)).astype(np.float32)
Y = RNG.normal(size=(N, D)).astype(np.float32)
EPS = 2.0**-23


def directions(x):
    x = np.asarray(x, np.float64)
    return x / np.sqrt(np.sum(x * x, axis=1, keepdims=True))


def nll_of_diagonal(logits):
    """−log softmax of each row at its own index, in float64 from the definition."""
    exps = np.exp(logits - logits.max(1, keepdims=True))
    return -np.log(np.diag(exps[:, : len(exps)]) / exps.sum(1))


@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.01])
def test_losses_are_the_papers_formulas(temperature):
    cosines = directions(X) @ directions(Y).T / temperature
    to_text, to_image = nll_of_diagonal(cosines), nll_of_diagonal(cosines.T)
    # A logit of 1/τ moves by some roundings of its own size.
    bound = 8 * EPS / temperature
    got = info_nce(X, Y, temperature=temperature)
    np.testing.assert_allclose(got, to_text, rtol=0, atol=bound)
    got = clip_loss(X, Y, logit_scale=1 / temperature)
    np.testing.assert_allclose(got, (to_text + to_image) / 2, rtol=0, atol=bound)


def test_dot_products_are_cross_entropy_of_their_matrix():
    wanted = softmax_cross_entropy(2 * X @ Y.T, np.arange(N))
    got = info_nce(X, Y, temperature=0.5, normalize=False)
    np.testing.assert_allclose(got, wanted, rtol=8 * EPS, atol=8 * EPS)


def test_a_hot_temperature_is_a_guess_and_a_pair_alone_costs_nothing():
    np.testing.assert_allclose(info_nce(X, Y, temperature=1e7), math.log(N), rtol=4 * EPS)
    np.testing.assert_allclose(clip_loss(X, Y, logit_scale=1e-7), math.log(N), rtol=4 * EPS)
    assert info_nce(X[:1], Y[:1]) == 0
    assert clip_loss(X[:1], Y[:1]) == 0


def test_further_negatives_join_every_denominator():
    negatives = RNG.normal(size=(3, D)).astype(np.float32)
    keys = np.concatenate([Y, negatives])
    logits = directions(X) @ directions(keys).T / 0.3
    got = info_nce(X, Y, temperature=0.3, negatives=negatives)
    np.testing.assert_allclose(got, nll_of_diagonal(logits), rtol=0, atol=32 * EPS)
    # A mask takes out pairs; the further negatives stay.
    keep = np.array([True, False, True, True, False, True])
    columns = np.concatenate([keep, np.ones(3, bool)])
    got = info_nce(X, Y, temperature=0.3, negatives=negatives, where=keep)
    wanted = nll_of_diagonal(logits[np.ix_(keep, columns)])
    np.testing.assert_allclose(got[keep], wanted, rtol=0, atol=32 * EPS)


@pytest.mark.parametrize("margin", [1.0, 15.0, 30.0, 80.0])
def test_matched_pairs_keep_every_digit(margin):
    """Orthogonal pairs lead by 1/τ: log1p(3 e^{−1/τ}), which a difference of logs calls 0."""
    x, off = jnp.eye(4), 3 * math.exp(-margin)

    @jax.jit
    def both(x, scale):
        def clip(scale):
            return clip_loss(x, x, logit_scale=scale)[0]

        def nce(temperature):
            return info_nce(x, x, temperature=temperature)[0]

        return jax.value_and_grad(clip)(scale), jax.value_and_grad(nce)(1 / scale)

    (clip, slope), (nce, slope_of_temperature) = both(x, jnp.float32(margin))
    exact = 1e-6 + 6e-8 * margin
    np.testing.assert_allclose(clip, math.log1p(off), rtol=exact)
    np.testing.assert_allclose(slope, -off / (1 + off), rtol=exact)
    # 1/τ is rounded once more on the way.
    np.testing.assert_allclose(nce, math.log1p(off), rtol=2 * exact)
    wanted = margin**2 * off / (1 + off)
    np.testing.assert_allclose(slope_of_temperature, wanted, rtol=2 * exact)


def test_clip_is_open_clips_composition_in_value_and_every_gradient():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    from torch.nn import functional as F  # noqa: N812

    images, texts = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (X, Y))
    log_scale = torch.tensor(math.log(1 / 0.07), dtype=torch.float64, requires_grad=True)
    features = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
    logits = log_scale.exp() * features[0] @ features[1].T
    own = torch.arange(N)
    wanted = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    wanted.backward()

    def loss(images, texts, log_scale):
        return clip_loss(images, texts, logit_scale=jnp.exp(log_scale), reduction="mean")

    learned = jnp.float32(math.log(1 / 0.07))
    value, slopes = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(X, Y, learned)
    # log s is rounded, then s: 16 roundings of logits up to 14.
    bound = 16 * EPS / 0.07
    np.testing.assert_allclose(value, wanted.item(), rtol=bound)
    for slope, other in zip(slopes, (images, texts, log_scale), strict=True):
        other = other.grad.numpy()
        np.testing.assert_allclose(slope, other, rtol=0, atol=bound * np.abs(other).max())


def test_sixteen_bits_are_summed_in_thirty_two():
    x, y = (jnp.asarray(z, jnp.bfloat16) for z in (X, Y))
    value, slope = jax.value_and_grad(lambda x: clip_loss(x, y, reduction="mean"))(x)
    wanted = clip_loss(x.astype(jnp.float32), y.astype(jnp.float32), reduction="mean")
    assert value.dtype == jnp.float32
    assert slope.dtype == jnp.bfloat16
    assert value == wanted
