"""Rows of many classes take a path of their own: its derivatives are those of the plain formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax import entropy, softmax_cross_entropy

CLASSES = 600  # split into blocks; from 512 on


def rows(kind):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, CLASSES)), rng.dirichlet(np.ones(CLASSES), 2)
    if kind == "tied at the top":
        logits[:, 3:7] = logits.max() + 1
    return {"equal": 0, "sharp": 30}.get(kind, 1) * logits, targets, rng.normal(size=logits.shape)


def plain_cross_entropy(logits, targets):
    return -jnp.sum(targets * jax.nn.log_softmax(logits, -1), -1)


def plain_entropy(logits, _):
    return plain_cross_entropy(logits, jax.nn.softmax(logits, -1))


@jax.jit
def derivatives(logits, targets, direction):
    """For each loss: gradient and Hessian product, plainly and through a scan, and the truth."""

    def of(loss):
        return lambda x: jnp.sum(jnp.sin(loss(x, targets)))

    def scanned(loss):
        def step(total, row):
            return total + jnp.sin(loss(*row)), None

        return lambda x: jax.lax.scan(step, jnp.zeros((), x.dtype), (x, targets))[0]

    def product(f):
        return jax.jvp(jax.grad(f), (logits,), (direction,))[1]

    found = {}
    for name, loss, plain in (
        ("cross-entropy", softmax_cross_entropy, plain_cross_entropy),
        ("entropy", lambda x, _: entropy(x), plain_entropy),
    ):
        f, truth = of(loss), of(plain)
        found[name] = (jax.grad(f)(logits), jax.grad(truth)(logits))
        found[f"{name}, second order"] = (product(f), product(truth))
        found[f"{name}, second order in a scan"] = (product(scanned(loss)), product(truth))
    return found


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["normal", "tied at the top", "equal", "sharp"])
def test_derivatives_of_wide_rows_are_those_of_the_plain_formula(kind):
    for name, (got, wanted) in derivatives(*rows(kind)).items():
        # 600 terms of float64 on both sides, of which the plain one cancels: 1e-13 of the scale.
        np.testing.assert_allclose(
            got, wanted, rtol=0, atol=1e-13 * max(1, np.abs(wanted).max()), err_msg=name
        )


def test_wide_rows_keep_small_losses_and_infinite_logits():
    logits, targets = np.zeros((3, CLASSES), np.float32), np.zeros((3, CLASSES), np.float32)
    targets[:, 3] = 1
    logits[:, 3] = [50, np.inf, 0]
    logits[2, 7] = -np.inf
    losses, slope = jax.vmap(jax.value_and_grad(softmax_cross_entropy))(logits, targets)
    rest = 599 * np.exp(-50.0)
    np.testing.assert_allclose(losses, [np.log1p(rest), 0, np.log(599)], rtol=3e-6)
    np.testing.assert_allclose(slope[:, 3], [-rest, 0, 1 / 599 - 1], rtol=3e-6)
    assert slope[2, 7] == 0
