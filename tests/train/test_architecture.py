"""NNX modules, Linen modules and plain functions are trained by one step, to the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from xentjax.train import (
    TrainState,
    cross_entropy,
    from_apply,
    from_linen,
    make_evaluate,
    make_step,
    stack_batches,
)

RNG = np.random.default_rng(0)
BATCHES = [
    {
        "x": RNG.normal(size=(6, 4)).astype(np.float32),
        "labels": RNG.integers(0, 3, 6).astype(np.int32),
    }
    for _ in range(3)
]
KERNEL = RNG.normal(size=(4, 3)).astype(np.float32)


def nnx_model():
    model = nnx.Linear(4, 3, use_bias=False, rngs=nnx.Rngs(0))
    model.kernel[...] = jnp.asarray(KERNEL)
    return model


def linen_model():
    return from_linen(linen.Dense(3, use_bias=False), {"params": {"kernel": jnp.asarray(KERNEL)}})


def plain_model():
    return from_apply(lambda w, x: x @ w, jnp.asarray(KERNEL))


def trained(model, steps=3):
    state = TrainState.create(model, optax.adam(0.1), key=jax.random.key(0))
    state, metrics = make_step(cross_entropy(), optax.adam(0.1))(
        state, stack_batches(BATCHES[:steps])
    )
    return state, metrics


def test_the_three_kinds_of_model_learn_the_same_parameters():
    results = [trained(make()) for make in (nnx_model, linen_model, plain_model)]
    kernels = [jax.tree.leaves(state.params)[0] for state, _ in results]
    assert np.abs(kernels[0] - KERNEL).max() > 0.1
    np.testing.assert_array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(kernels[0], kernels[2])
    x = jnp.asarray(BATCHES[0]["x"])
    for state, _ in results:
        np.testing.assert_allclose(state.to_model()(x), x @ kernels[0], rtol=1e-5, atol=1e-6)


class Norm(linen.Module):
    """Batch norm and dropout before a linear map, told of training by one of two words."""

    word: str

    @linen.compact
    def __call__(self, x, train: bool = False):
        x = linen.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        x = linen.Dropout(0.5, deterministic=not train)(x)
        return linen.Dense(3)(x)


def test_linen_statistics_and_dropout_move_in_training_and_stand_in_evaluation():
    module, x = Norm("train"), jnp.asarray(BATCHES[0]["x"])
    variables = module.init(jax.random.key(0), x)
    state, _ = trained(from_linen(module, variables), steps=1)
    mean = np.asarray(state.rest["batch_stats"]["BatchNorm_0"]["mean"])
    # Half of the batch's mean and half of the 0 it began with.
    np.testing.assert_allclose(mean, 0.5 * BATCHES[0]["x"].mean(0), rtol=1e-5)
    model = state.to_model()
    np.testing.assert_array_equal(model(x), model(x))
    before = jax.tree.map(np.asarray, state.rest)
    make_evaluate(cross_entropy())(state, BATCHES)
    jax.tree.map(np.testing.assert_array_equal, state.rest, before)


def test_a_plain_function_gets_a_key_of_its_own_at_each_step_and_is_told_of_training():
    def noisy(w, x, *, key, training):
        return x @ w + (jax.random.normal(key, (3,))[None] if training else 0.0)

    model = from_apply(noisy, jnp.asarray(KERNEL))
    state = TrainState.create(model, optax.sgd(0.0), key=jax.random.key(0))
    one = {**BATCHES[0]}
    _, metrics = make_step(cross_entropy(), optax.sgd(0.0))(state.copy(), stack_batches([one] * 3))
    assert len(set(metrics["loss_total"].tolist())) == 3
    x = jnp.asarray(one["x"])
    np.testing.assert_allclose(state.to_model()(x), x @ KERNEL, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda: linen.Dense(3), TypeError, r"Linen module Dense without its variables"),
        (lambda: object(), TypeError, r"got a object, wanted a flax.nnx module"),
        (lambda: from_linen(linen.Dense(3), {}), ValueError, r"must hold 'params', got \[\]"),
        (lambda: from_apply(lambda _w, x: x, {}), ValueError, r"at least one array to train"),
    ],
)
def test_what_cannot_be_trained_is_refused(model, error, message):
    with pytest.raises(error, match=message):
        TrainState.create(model(), optax.sgd(0.1), key=jax.random.key(0))
