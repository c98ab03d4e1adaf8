"""Second derivatives through `jax.lax.scan`, where JAX drops custom derivative rules.

When a scan is linearized and differentiated again, values that do not depend on the iteration are
hoisted by partial evaluation, which keeps no `custom_jvp`. So each rule's plain code must have the
right derivative by itself; a `stop_gradient` in it makes a Hessian silently wrong.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.cases import CASES


def plain(loss, rest):
    return lambda x: jnp.sum(jnp.sin(loss(x, *rest)))


def scanned(loss, rest):
    def total(x):
        rows = tuple(z[:, None] for z in (x, *rest))
        step = lambda carry, row: (carry + jnp.sum(jnp.sin(loss(*row))), None)  # noqa: E731
        return jax.lax.scan(step, 0.0, rows)[0]

    return total


def gradients_in_a_scan(loss, rest):
    """As gradient accumulation takes them."""

    def gradients(x):
        rows = tuple(z[:, None] for z in (x, *rest))
        of_row = lambda x, *rest: jnp.sum(jnp.sin(loss(x, *rest)))  # noqa: E731
        step = lambda carry, row: (carry, jax.grad(of_row)(*row))  # noqa: E731
        return jax.lax.scan(step, 0.0, rows)[1].reshape(x.shape)

    return gradients


# Those whose rules are all there are among the plain losses; the other cases share them.
TELLING = ("softmax, every option", "entropy")
# Losses with rules of their own, in half a minute each.
OWN_RULES = (
    *(
        "softmax, distributions",
        "KL",
        "JS consistency",
        "poly, distributions",
        "bi-tempered",
        "entmax 1.5",
        "sparsemax",
    ),
    *("CTC", "generalized cross-entropy", "Tversky, soft labels"),
)
NAMES = [*TELLING, *(pytest.param(name, marks=pytest.mark.slow) for name in OWN_RULES)]


@pytest.mark.parametrize("name", NAMES)
def test_hessian_through_a_scan_is_the_plain_one(name):
    loss = CASES[name].loss
    x, *rest = (jnp.asarray(z) for z in CASES[name].draw(np.random.default_rng(0), 4, 3))
    v = jnp.cos(x)
    one, many = plain(loss, rest), scanned(loss, rest)

    @jax.jit
    def products(x):
        along = lambda f: jax.jvp(jax.grad(f), (x,), (v,))[1]  # noqa: E731
        back = lambda f: jax.grad(lambda x: jnp.sum(jax.grad(f)(x) * v))(x)  # noqa: E731
        in_scan = jax.grad(lambda x: jnp.sum(gradients_in_a_scan(loss, rest)(x) * v))(x)
        return along(one), (along(many), back(many), in_scan)

    wanted, got = products(x)
    scale = np.abs(wanted).max()
    for product in got:
        # 3 classes, 4 rows: some tens of roundings, relative to the largest entry.
        np.testing.assert_allclose(product, wanted, rtol=0, atol=32 * 2**-23 * scale)
