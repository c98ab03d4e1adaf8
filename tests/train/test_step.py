"""A step is the textbook update, the same scanned or called one by one, and it donates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax.models import MLP, MLPConfig
from xentjax.train import TrainState, cross_entropy, make_step, stack_batches

CONFIG = MLPConfig(in_features=4, hidden_features=(8,), classes=3, dropout=0.25)
STEPS, ROWS = 4, 6
# One Adam step divides two rounded sums: a few ulps of the parameters (|θ| < 1) a step.
ULPS = 16 * STEPS * np.finfo(np.float32).eps


def make_batches(seed=0, steps=STEPS):
    rng = np.random.default_rng(seed)
    return [
        {
            "features": rng.normal(size=(ROWS, 4)).astype(np.float32),
            "labels": rng.integers(0, 3, ROWS).astype(np.int32),
        }
        for _ in range(steps)
    ]


def make_state(optimizer, seed=0, config=CONFIG):
    model = MLP(config, rngs=nnx.Rngs(seed))
    return TrainState.create(model, optimizer, key=jax.random.key(seed))


def test_a_scan_of_k_steps_equals_k_single_steps_dropout_included():
    optimizer, all_batches = optax.adam(0.05), make_batches()
    step = make_step(cross_entropy(), optimizer, learning_rate=0.05)
    scanned, metrics = step(make_state(optimizer), stack_batches(all_batches))
    single, totals = make_state(optimizer), []
    for batch in all_batches:
        single, one = step(single, stack_batches([batch]))
        totals.append(float(one["loss_total"][0]))
    np.testing.assert_allclose(metrics["loss_total"], totals, rtol=ULPS)
    assert int(scanned.step) == int(single.step) == STEPS
    for ours, theirs in zip(
        jax.tree.leaves(scanned.params), jax.tree.leaves(single.params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=ULPS)
    # The dropout counter moved with the steps: no mask is used twice.
    counts = [leaf for leaf in jax.tree.leaves(scanned.rest) if leaf.dtype == jnp.uint32]
    assert [int(count) for count in counts] == [STEPS]


def test_a_step_is_gradient_descent_on_the_mean_cross_entropy():
    linear = MLPConfig(in_features=4, hidden_features=(), classes=3)
    batch = make_batches(steps=1)[0]
    state = make_state(optax.sgd(0.5), config=linear)
    kernel = np.asarray(state.to_model().head.kernel[...], np.float64)
    x, labels = batch["features"].astype(np.float64), batch["labels"]
    logits = x @ kernel
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    grad = x.T @ (p - np.eye(3)[labels]) / ROWS
    step = make_step(cross_entropy(), optax.sgd(0.5), learning_rate=0.5)
    state, metrics = step(state, stack_batches([batch]))
    ours = state.to_model().head.kernel[...]
    np.testing.assert_allclose(ours, kernel - 0.5 * grad, atol=1e-6)
    nll = -np.log(p[np.arange(ROWS), labels])
    np.testing.assert_allclose(metrics["loss_total"], [nll.sum()], rtol=1e-6)
    np.testing.assert_allclose(metrics["loss_weight"], [ROWS])
    np.testing.assert_array_equal(metrics["correct"], [(logits.argmax(1) == labels).sum()])
    bias_grad = (p - np.eye(3)[labels]).mean(0)
    norm = np.sqrt((grad**2).sum() + (bias_grad**2).sum())
    np.testing.assert_allclose(metrics["grad_norm"], [norm], rtol=1e-6)


def test_the_state_is_donated():
    step = make_step(cross_entropy(), optax.adam(0.1), learning_rate=0.1)
    state = make_state(optax.adam(0.1))
    new, _ = step(state, stack_batches(make_batches()))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(new))


def test_the_same_seed_gives_the_same_parameters_and_another_seed_others():
    step = make_step(cross_entropy(), optax.adam(0.1), learning_rate=0.1)

    def trained(seed):
        state, _ = step(make_state(optax.adam(0.1), seed), stack_batches(make_batches()))
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)])

    np.testing.assert_array_equal(trained(0), trained(0))
    assert np.abs(trained(0) - trained(1)).max() > 0.01


def test_another_seed_does_not_trace_again():
    traces = []

    def counting(model, batch, key):
        traces.append(1)
        return cross_entropy()(model, batch, key)

    step = make_step(counting, optax.sgd(0.1), learning_rate=0.1)
    for seed in range(3):
        step(make_state(optax.sgd(0.1), seed), stack_batches(make_batches(seed)))
    assert len(traces) == 1


def test_each_step_gets_a_key_of_its_own_and_the_scheduled_rate():
    def objective(model, batch, key):
        total, weight, _ = cross_entropy()(model, batch, key)
        return total, weight, {"draw": jax.random.uniform(key)}

    step = make_step(objective, optax.sgd(0.1), learning_rate=lambda count: 0.1 * count)
    _, metrics = step(make_state(optax.sgd(0.1)), stack_batches(make_batches()))
    assert len(set(metrics["draw"].tolist())) == STEPS
    np.testing.assert_allclose(metrics["learning_rate"], [0.0, 0.1, 0.2, 0.3], rtol=1e-6)


def test_a_batch_that_weighs_nothing_moves_nothing():
    batch = {**make_batches(steps=1)[0], "where": np.zeros(ROWS, bool)}
    state = make_state(optax.sgd(0.1))
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]
    step = make_step(cross_entropy(), optax.sgd(0.1), learning_rate=0.1)
    state, metrics = step(state.copy(), stack_batches([batch]))
    assert float(metrics["loss_weight"][0]) == 0
    for ours, theirs in zip(jax.tree.leaves(state.params), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("poison", ["nan feature", "label outside the classes"])
def test_a_step_that_is_not_finite_changes_nothing_but_the_step(poison):
    batch = make_batches(steps=1)[0]
    if poison == "nan feature":
        batch["features"][2, 1] = np.nan
    else:
        batch["labels"][0] = 3
    state = make_state(optax.adam(0.1))
    before = (
        jax.tree.map(np.array, jax.random.key_data(state.key)),
        jax.tree.map(np.array, (state.params, state.opt_state)),
    )
    rest = [np.asarray(leaf) for leaf in jax.tree.leaves(state.rest) if leaf.dtype == jnp.uint32]
    step = make_step(cross_entropy(), optax.adam(0.1))
    state, metrics = step(state, stack_batches([batch]))
    assert metrics["skipped"].tolist() == [1]
    assert int(state.step) == 1
    jax.tree.map(
        np.testing.assert_array_equal,
        (jax.random.key_data(state.key), (state.params, state.opt_state)),
        before,
    )
    counts = [leaf for leaf in jax.tree.leaves(state.rest) if leaf.dtype == jnp.uint32]
    np.testing.assert_array_equal(counts, rest)


def test_an_update_that_is_not_finite_is_skipped_though_loss_and_gradient_are_sound():
    def to_nan(updates, state, params=None):
        del params
        return jax.tree.map(lambda leaf: leaf * jnp.nan, updates), state

    optimizer = optax.GradientTransformation(lambda _: (), to_nan)
    state = make_state(optimizer)
    before = jax.tree.map(np.array, state.params)
    state, metrics = make_step(cross_entropy(), optimizer)(state, stack_batches(make_batches()))
    assert metrics["skipped"].tolist() == [1] * STEPS
    jax.tree.map(np.testing.assert_array_equal, state.params, before)


@pytest.mark.parametrize(
    "accumulate", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 6))]
)
def test_accumulation_equals_the_large_batch_whatever_the_parts_weigh(accumulate):
    config = MLPConfig(in_features=4, hidden_features=(8,), classes=3)
    rng = np.random.default_rng(1)
    weights = rng.uniform(0, 3, ROWS).astype(np.float32)
    batches = stack_batches([{**b, "weights": weights} for b in make_batches()])

    def trained(parts):
        penalty = lambda params: 0.1 * optax.tree.norm(params, squared=True)  # noqa: E731
        step = make_step(cross_entropy(), optax.sgd(0.5), accumulate=parts, penalty=penalty)
        return step(make_state(optax.sgd(0.5), config=config), batches)

    whole, metrics = trained(1)
    parts, sums = trained(accumulate)
    for name in ("loss_total", "loss_weight", "grad_norm", "correct"):
        np.testing.assert_allclose(sums[name], metrics[name], rtol=8 * ULPS)
    for ours, theirs in zip(
        jax.tree.leaves(parts.params), jax.tree.leaves(whole.params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=4 * ULPS)


def test_accumulation_wants_a_batch_it_divides():
    step = make_step(cross_entropy(), optax.sgd(0.1), accumulate=4)
    with pytest.raises(ValueError, match="accumulate = 4 must divide the batch"):
        step(make_state(optax.sgd(0.1)), stack_batches(make_batches()))


def test_a_single_batch_is_not_taken_for_steps_of_one_example():
    step = make_step(cross_entropy(), optax.sgd(0.1))
    with pytest.raises(ValueError, match=r"'labels'\] has shape \(6,\), wanted \[steps, B, …\]"):
        step(make_state(optax.sgd(0.1)), make_batches()[0])


def test_what_is_no_number_is_not_stacked():
    with pytest.raises(ValueError, match=r"batches\['text'\] holds <U1, wanted numbers"):
        stack_batches([{"text": np.array(["a"])}])


def test_batches_of_different_shapes_are_not_stacked():
    with pytest.raises(ValueError, match=r"batches\['x'\]: got shapes .*drop_remainder"):
        stack_batches([{"x": np.ones(3)}, {"x": np.ones(2)}])
    with pytest.raises(ValueError, match="got none"):
        stack_batches([])
