"""SigLIP's loss against the paper's formula and torch; in chunks and in a ring it is the same."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from xentjax import sigmoid_cross_entropy
from xentjax.losses.pairwise_sigmoid import siglip_loss

RNG = np.random.default_rng(0)
N, D = 6, 4
X = RNG.normal(size=(N, D)).astype(np.float32)
Y = RNG.normal(size=(N, D)).astype(np.float32)
EPS = 2.0**-23


def directions(x):
    x = np.asarray(x, np.float64)
    return x / np.sqrt(np.sum(x * x, axis=1, keepdims=True))


@pytest.mark.parametrize(("scale", "bias"), [(10.0, -10.0), (117.0, -12.0), (1.0, 0.0)])
def test_losses_are_the_papers_formula(scale, bias):
    logits = scale * directions(X) @ directions(Y).T + bias
    signs = 2 * np.eye(N) - 1
    wanted = np.sum(np.logaddexp(0, -signs * logits), axis=1)
    got = siglip_loss(X, Y, logit_scale=scale, bias=bias)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=8 * EPS * scale * math.sqrt(N))
    # The same by binary cross-entropy of the matrix, and the mean is the paper's 1/N Σᵢ Σⱼ.
    mean = siglip_loss(X, Y, logit_scale=scale, bias=bias, reduction="mean")
    rows = sigmoid_cross_entropy(jnp.asarray(logits, jnp.float32), jnp.eye(N))
    np.testing.assert_allclose(mean, jnp.sum(rows) / N, rtol=8 * EPS * max(scale, 1))


def test_it_is_open_clips_composition_in_value_and_every_gradient():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    from torch.nn import functional as F  # noqa: N812

    images, texts, log_scale, bias = (
        torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (X, Y, math.log(10), -10)
    )
    logits = log_scale.exp() * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T + bias
    wanted = -F.logsigmoid((2 * torch.eye(N) - 1) * logits).sum() / N
    wanted.backward()

    def loss(images, texts, log_scale, bias):
        scale = jnp.exp(log_scale)
        return siglip_loss(images, texts, logit_scale=scale, bias=bias, chunk=4, reduction="mean")

    learned = jnp.float32(math.log(10)), jnp.float32(-10)
    value, slopes = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3)))(X, Y, *learned)
    bound = 16 * EPS * 10
    np.testing.assert_allclose(value, wanted.item(), rtol=bound)
    for slope, other in zip(slopes, (images, texts, log_scale, bias), strict=True):
        other = other.grad.numpy()
        np.testing.assert_allclose(slope, other, rtol=0, atol=bound * np.abs(other).max())


def test_in_chunks_it_is_the_whole_in_value_gradient_and_curvature():
    keep = np.array([True, True, False, True, True, True])

    def derivatives(chunk):
        def total(x):
            losses = siglip_loss(x, Y, logit_scale=3.0, bias=-1.0, chunk=chunk, where=keep)
            return jnp.sum(jnp.sin(losses))

        slope = jax.grad(total)
        backward = lambda x: jax.grad(lambda x: jnp.vdot(slope(x), jnp.cos(x)))(x)  # noqa: E731
        return lambda x: (total(x), slope(x), jax.jvp(slope, (x,), (jnp.cos(x),))[1], backward(x))

    sizes = (None, 1, 4, N, 9)
    whole, *others = jax.jit(lambda x: [derivatives(chunk)(x) for chunk in sizes])(jnp.asarray(X))
    for chunked in others:
        for got, wanted in zip(chunked, whole, strict=True):
            bound = 16 * EPS * 3 * np.abs(wanted).max()
            np.testing.assert_allclose(got, wanted, rtol=0, atol=bound)


def compiled_bytes(loss, *arguments):
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*arguments).compile()
    return compiled, compiled.memory_analysis().temp_size_in_bytes


def test_memory_is_a_chunk_of_the_matrix_also_in_the_gradient():
    n, chunk = 2048, 64
    x = jax.ShapeDtypeStruct((n, 4), jnp.float32)
    mean = lambda x, y, chunk=None: siglip_loss(x, y, chunk=chunk, reduction="mean")  # noqa: E731
    _, whole = compiled_bytes(mean, x, x)
    _, chunked = compiled_bytes(lambda x, y: mean(x, y, chunk), x, x)
    assert whole >= 4 * n * n  # 16 MiB
    assert chunked <= 5 * 4 * n * chunk  # five arrays of 512 KiB
    assert chunked < whole / 6


def test_in_a_ring_no_device_gathers_the_texts_or_forms_its_rows_of_the_matrix():
    n, devices = 2048, 8
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))

    def mean(x, y):
        return siglip_loss(x, y, axis_name="data", reduction="mean")

    specs = PartitionSpec("data")
    shared = jax.shard_map(mean, mesh=mesh, in_specs=(specs, specs), out_specs=PartitionSpec())
    x = jax.ShapeDtypeStruct((n, 4), jnp.float32)
    compiled, held = compiled_bytes(shared, x, x)
    program = compiled.as_text()
    assert "collective-permute" in program
    assert "all-gather" not in program
    assert held < 4 * n * n / devices  # its rows [N / 8, N] would be 2 MiB


@pytest.mark.parametrize("margin", [15.0, 30.0, 80.0])
def test_certain_pairs_keep_every_digit(margin):
    """x = y orthogonal, b = −s/2: every pair is right by s/2, and costs log1p(e^{−s/2})."""
    x = jnp.eye(3)

    def loss(scale):
        return siglip_loss(x, x, logit_scale=scale, bias=-scale / 2)[0]

    value, slope = jax.value_and_grad(loss)(jnp.float32(2 * margin))
    off = math.exp(-margin)
    exact = 1e-6 + 6e-8 * margin
    np.testing.assert_allclose(value, 3 * math.log1p(off), rtol=exact)
    np.testing.assert_allclose(slope, -1.5 * off / (1 + off), rtol=exact)
