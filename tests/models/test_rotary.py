"""Rotary positions turn pairs by complex numbers and make products relative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.models.rotary import rotate

X = jax.random.normal(jax.random.key(0), (2, 9, 3, 8))


def test_rotation_is_multiplication_by_a_complex_unit():
    x = np.asarray(X, np.float64)
    pairs = x[..., :4] + 1j * x[..., 4:]
    angle = np.arange(9)[:, None] * 10_000.0 ** (-np.arange(4) / 4)
    turned = pairs * np.exp(1j * angle)[:, None]
    want = np.concatenate([turned.real, turned.imag], axis=-1)
    # |x| < 4, angles to 8 with relative error eps: absolute error below 4·8·eps and a little.
    np.testing.assert_allclose(rotate(X), want, rtol=0, atol=48 * np.finfo(np.float32).eps)


def test_products_depend_on_the_distance_alone():
    query, key = X[:1, :1], X[1:, :1]
    queries = rotate(jnp.broadcast_to(query, (1, 9, 3, 8)))
    keys = rotate(jnp.broadcast_to(key, (1, 9, 3, 8)))
    products = np.einsum("bthf,bshf->hts", queries, keys)
    for shift in range(1, 5):
        np.testing.assert_allclose(
            products[:, shift:, shift:], products[:, :-shift, :-shift], rtol=0, atol=2e-5
        )
    assert np.ptp(products[0, 0]) > 0.1


def test_odd_features_are_refused():
    with pytest.raises(ValueError, match=r"even.*\(1, 2, 1, 3\)"):
        rotate(jnp.ones((1, 2, 1, 3)))
