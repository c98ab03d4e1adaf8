"""A state becomes named plain arrays and is the same state again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.train.leaves import from_arrays, named_leaves, to_arrays, to_shapes


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_of_any_kind_are_integers_in_between(impl):
    state = {"keys": jax.random.split(jax.random.key(3, impl=impl), 2), "w": jnp.ones(2)}
    arrays = to_arrays(state)
    assert arrays["keys"].dtype == np.uint32
    restored = from_arrays(arrays, jax.tree.map(jnp.zeros_like, {"w": state["w"]}) | state)
    assert restored["keys"].dtype == state["keys"].dtype
    draws = [jax.random.bits(tree["keys"][1], (4,)) for tree in (restored, state)]
    np.testing.assert_array_equal(*draws)


def test_shapes_are_those_of_the_arrays():
    state = {"key": jax.random.key(0), "w": jnp.ones((2, 3), jnp.bfloat16)}
    arrays, shapes = to_arrays(state), to_shapes(state)
    assert {n: (a.shape, a.dtype, a.sharding) for n, a in arrays.items()} == {
        n: (s.shape, s.dtype, s.sharding) for n, s in shapes.items()
    }


def test_an_array_that_was_put_somewhere_stays_there_and_another_may_move():
    second = jax.devices()[1]
    like = {"put": jax.device_put(jnp.ones(2), second), "free": jnp.ones(2)}
    read = {name: jax.device_put(jnp.zeros(2), leaf.sharding) for name, leaf in like.items()}
    restored = from_arrays(read, like)
    assert (restored["put"].committed, restored["free"].committed) == (True, False)
    assert restored["put"].devices() == {second}


def test_two_arrays_of_one_path_are_refused():
    with pytest.raises(ValueError, match="two of its arrays have the same path"):
        named_leaves({"a/b": jnp.ones(1), "a": {"b": jnp.ones(1)}})
