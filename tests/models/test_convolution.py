"""Both ways to convolve are the sum in the docstring, and their gradients agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.models.convolution import _by_library, _by_products, convolve

EPS = np.finfo(np.float32).eps
CASES = [(3, 1, 4, 4), (3, 2, 5, 8), (1, 2, 5, 4), (5, 3, 7, 1)]


def problem(size, height, width):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (2, height, width, 3))
    return x, jax.random.normal(keys[1], (size, size, 3, 4))


def by_definition(x, kernel, stride):
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    half = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nijcab,abcd->nijd", windows, kernel)[:, ::stride, ::stride]


@pytest.mark.parametrize(
    ("way", "size", "stride", "height", "width"),
    [
        (convolve, 3, 2, 5, 8),
        *((way, *case) for way in (_by_library, _by_products) for case in CASES),
    ],
)
def test_convolution_is_its_formula_in_float64(way, size, stride, height, width):
    x, kernel = problem(size, height, width)
    # At most 75 products of order 1: c·eps·√n with c = 16 for terms up to 4.
    tolerance = 16 * EPS * np.sqrt(3 * size * size)
    got = jax.jit(way, static_argnames="stride")(x, kernel, stride=stride)
    np.testing.assert_allclose(got, by_definition(x, kernel, stride), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (1, 2)])
def test_gradients_of_the_two_ways_agree(size, stride):
    x, kernel = problem(size, 6, 5)

    def gradients(way):
        total = jax.jit(jax.grad(lambda *a: jnp.sum(jnp.sin(way(*a, stride=stride))), (0, 1)))
        return total(x, kernel)

    for ours, theirs in zip(gradients(_by_products), gradients(_by_library), strict=True):
        # Sums of at most 60 bounded cosines times values up to 4.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=64 * 8 * EPS)


def test_even_kernels_and_strides_below_one_are_refused():
    x, kernel = problem(3, 4, 4)
    with pytest.raises(ValueError, match=r"odd height and width, got shape \(2, 3, 3, 4\)"):
        convolve(x, kernel[:2])
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        convolve(x, kernel, stride=0)
