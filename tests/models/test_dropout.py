"""Dropout: unbiased, independent between layers and calls, off in evaluation, traceable rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.models import MLP, MLPConfig
from xentjax.models.dropout import Dropout, set_dropout_rate

N = 20_000


def test_the_share_dropped_is_the_rate_and_the_mean_is_kept():
    y = np.asarray(Dropout(0.3, rngs=nnx.Rngs(0))(jnp.ones(N)))
    assert abs((y == 0).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / N)
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}


def test_two_layers_and_two_calls_drop_different_entries():
    rngs = nnx.Rngs(0)
    first, second = Dropout(0.5, rngs=rngs), Dropout(0.5, rngs=rngs)
    masks = [np.asarray(layer(jnp.ones(64)) == 0) for layer in (first, first, second)]
    assert all((masks[a] != masks[b]).any() for a, b in ((0, 1), (0, 2), (1, 2)))


def test_evaluation_and_rate_zero_return_the_input_and_keep_no_key():
    x = jnp.arange(4.0)
    off = Dropout(0.5, rngs=nnx.Rngs(0))
    off.eval()
    never = Dropout(0, rngs=nnx.Rngs(0))
    assert (off(x) == x).all()
    assert (never(x) == x).all()
    assert jax.tree.leaves(nnx.state(never)) == []


def test_a_traced_rate_gives_what_the_same_number_gives():
    def dropped(rate):
        return Dropout(rate, rngs=nnx.Rngs(7))(jnp.ones(64))

    rates = jnp.array([0.0, 0.25, 0.5])
    together = jax.jit(jax.vmap(dropped))(rates)
    alone = np.stack([dropped(float(rate)) for rate in rates])
    # 1 − p and its reciprocal, each rounded once.
    np.testing.assert_allclose(together, alone, rtol=2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_dtype_is_kept(dtype):
    assert Dropout(0.5, rngs=nnx.Rngs(0))(jnp.ones(4, dtype)).dtype == dtype


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\)"):
        Dropout(rate, rngs=nnx.Rngs(0))


def test_a_rate_set_afterwards_gives_what_a_model_made_with_it_gives():
    def logits(made_with, then):
        config = MLPConfig(in_features=4, hidden_features=(8, 8), dropout=made_with)
        model = MLP(config, rngs=nnx.Rngs(3))
        return (set_dropout_rate(model, then) if then else model)(jnp.ones((2, 4)))

    # Two layers, each scaled by a reciprocal rounded twice.
    np.testing.assert_allclose(logits(0.9, 0.3), logits(0.3, None), rtol=1e-6, atol=1e-6)


def test_a_model_that_cannot_drop_anything_is_refused():
    with pytest.raises(ValueError, match="0 Dropout layers and none with a rate above 0"):
        set_dropout_rate(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), 0.5)
