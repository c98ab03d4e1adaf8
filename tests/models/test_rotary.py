"""Rotary positions turn pairs by complex numbers and make products relative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.models.rotary import rotate, turns

X = jax.random.normal(jax.random.key(0), (2, 9, 3, 8))
TABLE = turns(jnp.arange(9), features=8)


def test_rotation_is_multiplication_by_a_complex_unit():
    x = np.asarray(X, np.float64)
    pairs = x[..., :4] + 1j * x[..., 4:]
    angle = np.arange(9)[:, None] * 10_000.0 ** (-np.arange(4) / 4)
    turned = pairs * np.exp(1j * angle)[:, None]
    want = np.concatenate([turned.real, turned.imag], axis=-1)
    # |x| < 4, angles to 8 with relative error eps: absolute error below 4·8·eps and a little.
    np.testing.assert_allclose(rotate(X, TABLE), want, rtol=0, atol=48 * np.finfo(np.float32).eps)


def test_products_depend_on_the_distance_alone():
    query, key = X[:1, :1], X[1:, :1]
    queries = rotate(jnp.broadcast_to(query, (1, 9, 3, 8)), TABLE)
    keys = rotate(jnp.broadcast_to(key, (1, 9, 3, 8)), TABLE)
    products = np.einsum("bthf,bshf->hts", queries, keys)
    for shift in range(1, 5):
        np.testing.assert_allclose(
            products[:, shift:, shift:], products[:, :-shift, :-shift], rtol=0, atol=2e-5
        )
    assert np.ptp(products[0, 0]) > 0.1


def test_any_positions_turn_as_they_do_in_a_row():
    some = jnp.array([7, 2])
    np.testing.assert_array_equal(
        rotate(X[:, some], turns(some, features=8)), rotate(X, TABLE)[:, some]
    )


def test_odd_features_are_refused():
    with pytest.raises(ValueError, match=r"even.*got 3"):
        turns(jnp.arange(2), features=3)


@pytest.mark.parametrize("shape", [(1, 8, 1, 8), (1, 9, 1, 6), (1, 9, 1, 9)])
def test_a_table_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"table must have shape.*got \(9, 4\)"):
        rotate(jnp.ones(shape), TABLE)
