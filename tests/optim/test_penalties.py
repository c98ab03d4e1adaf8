"""Penalties have the gradients of their formulas, on the weights that the rule names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.optim import elastic_net, l1, l2

PARAMS = {
    "kernel": jnp.array([[1.5, -2.0], [0.0, 0.5]]),
    "bias": jnp.array([0.3, -0.1]),
    "norm": {"scale": jnp.ones((2, 2))},
}
KERNEL = np.asarray(PARAMS["kernel"], np.float64)
CASES = {
    "l1": (l1(0.3), 0.3 * np.abs(KERNEL).sum(), 0.3 * np.sign(KERNEL)),
    "l2": (l2(0.3), 0.15 * (KERNEL**2).sum(), 0.3 * KERNEL),
    "elastic_net": (
        elastic_net(0.3, l1_share=0.25),
        0.3 * (0.25 * np.abs(KERNEL).sum() + 0.75 * (KERNEL**2).sum() / 2),
        0.3 * (0.25 * np.sign(KERNEL) + 0.75 * KERNEL),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_those_of_the_formula_on_the_kernel_alone(name):
    penalty, want, slope = CASES[name]
    value, grads = jax.value_and_grad(penalty)(PARAMS)
    assert value.shape == ()
    assert value.dtype == jnp.float32
    # A handful of float32 roundings.
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(grads["kernel"], slope, rtol=1e-6)
    assert grads["kernel"][1, 0] == 0  # the subgradient at 0
    assert not np.any(grads["bias"])
    assert not np.any(grads["norm"]["scale"])


def test_a_rule_chooses_by_path():
    penalty = l1(2.0, rule=lambda params: {**jax.tree.map(lambda _: False, params), "bias": True})
    assert float(penalty(PARAMS)) == pytest.approx(0.8)


def test_bfloat16_weights_are_summed_in_float32():
    ones = {"kernel": jnp.ones((77, 13), jnp.bfloat16)}
    assert l1(1.0)(ones).dtype == jnp.float32
    assert float(l1(1.0)(ones)) == 1001.0  # a bfloat16 has 1000 or 1004


def test_without_penalized_weights_it_is_zero():
    assert float(l2(1.0)({"bias": jnp.ones(3)})) == 0.0


def test_strength_and_share_may_be_traced():
    got = jax.vmap(lambda s, r: elastic_net(s, l1_share=r)(PARAMS))(
        jnp.array([0.3, 0.3]), jnp.array([1.0, 0.0])
    )
    np.testing.assert_allclose(got, [CASES["l1"][1], CASES["l2"][1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: l1(-0.1), "strength must be finite and not negative, got -0.1"),
        (lambda: l2(float("inf")), "strength"),
        (lambda: elastic_net(1.0, l1_share=1.5), r"l1_share must be in \[0, 1\], got 1.5"),
    ],
)
def test_numbers_outside_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
