"""with_adjoint against plain JAX: a linear function that brings its own transpose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from xentjax.fused.adjoint import undivided, with_adjoint

RNG = np.random.default_rng(0)
MATRIX, X = RNG.normal(size=(3, 4)), RNG.normal(size=4)
DMATRIX, DX = RNG.normal(size=(3, 4)), RNG.normal(size=4)
MATRICES, XS = RNG.normal(size=(5, 3, 4)), RNG.normal(size=(5, 4))


def forward(residuals, linear):
    """A pytree on every side."""
    return {"scores": jnp.sin(residuals["matrix"]) @ linear[0], "twice": 2 * linear[0]}


def backward(residuals, cotangents):
    return [jnp.sin(residuals["matrix"]).T @ cotangents["scores"] + 2 * cotangents["twice"]]


def ours(matrix, x):
    return with_adjoint(forward, backward, {"matrix": matrix}, [x])


def plain(matrix, x):
    return forward({"matrix": matrix}, [x])


def inside(matrix, x):
    """As a step of a larger function: undivided."""
    return undivided(plain, matrix, x)


def total(function):
    def curve(matrix, x):
        found = function(matrix, jnp.cos(x))
        return jnp.sum(found["scores"] ** 3) + jnp.sum(jnp.sin(found["twice"]))

    return curve


def scanned(function):
    def run(matrix, x):
        def step(carry, size):
            return carry + function(matrix, size * x), carry

        return lax.scan(step, jnp.float64(0.0), jnp.array([1.0, 0.5, 2.0]))[0]

    return run


def hvp(function):
    return jax.jvp(jax.grad(function, (0, 1)), (MATRIX, X), (DMATRIX, DX))


def twice_reversed(function):
    def along(matrix, x):
        slopes = jax.grad(function, (0, 1))(matrix, x)
        return jnp.sum(slopes[0] * DMATRIX) + jnp.sum(slopes[1] * DX)

    return jax.grad(along, (0, 1))(MATRIX, X)


ROWS = {
    "value": lambda f: f(MATRIX, X),
    "grad": lambda f: jax.grad(total(f), (0, 1))(MATRIX, X),
    "grad of what is linear": lambda f: jax.grad(total(f), 1)(MATRIX, X),
    "jvp": lambda f: jax.jvp(f, (MATRIX, X), (DMATRIX, DX)),
    "jvp of what is linear": lambda f: jax.jvp(lambda x: f(MATRIX, x), (X,), (DX,)),
    "jacrev": lambda f: jax.jacrev(f, (0, 1))(MATRIX, X),
    "jacfwd": lambda f: jax.jacfwd(f, (0, 1))(MATRIX, X),
    "linear_transpose": lambda f: jax.linear_transpose(lambda x: f(MATRIX, x), X)(
        {"scores": DMATRIX[:, 0], "twice": DX}
    ),
    "transposed twice": lambda f: jax.linear_transpose(
        lambda c: jax.linear_transpose(lambda x: f(MATRIX, x), X)(c)[0],
        {"scores": DMATRIX[:, 0], "twice": DX},
    )(X),
    "vmap over residuals": lambda f: jax.vmap(f, (0, None))(MATRICES, X),
    "vmap over what is linear": lambda f: jax.vmap(f, (None, 0))(MATRIX, XS),
    "vmap over both, out of place": lambda f: jax.vmap(f, (2, 1))(MATRICES.T.swapaxes(0, 1), XS.T),
    "vmap of grad": lambda f: jax.vmap(jax.grad(total(f), (0, 1)))(MATRICES, XS),
    "vmap of grad over residuals": lambda f: jax.vmap(jax.grad(total(f), (0, 1)), (0, None))(
        MATRICES, X
    ),
    "vmap of vmap": lambda f: jax.vmap(jax.vmap(f, (None, 0)), (0, None))(MATRICES, XS),
    "grad of vmap": lambda f: jax.grad(
        lambda m, x: jnp.sum(jax.vmap(total(f), (None, 0))(m, x)), (0, 1)
    )(MATRIX, XS),
    "hessian": lambda f: jax.hessian(total(f), (0, 1))(MATRIX, X),
    "hvp": lambda f: hvp(total(f)),
    "reverse over reverse": lambda f: twice_reversed(total(f)),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(total(f)), (0, 1))(MATRIX, X),
    "hvp of checkpoint": lambda f: hvp(jax.checkpoint(total(f))),
    "scan": lambda f: jax.grad(scanned(total(f)), (0, 1))(MATRIX, X),
    "hvp of scan": lambda f: hvp(scanned(total(f))),
    "reverse over reverse of scan": lambda f: twice_reversed(scanned(total(f))),
    "third derivative": lambda f: jax.jacfwd(jax.hessian(lambda x: total(f)(MATRIX, x)))(X),
}
# What linear_transpose may transpose must be linear in JAX's own eyes: undivided is not.
OF_LINEAR = ("linear_transpose", "transposed twice")


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.usefixtures("x64")
def test_a_transform_gives_what_plain_jax_gives(name):
    row, functions = ROWS[name], [ours] if name in OF_LINEAR else [ours, inside]
    wanted = jax.jit(row, static_argnums=0)(plain)
    for function in functions:
        got = jax.jit(row, static_argnums=0)(function)
        assert jax.tree.structure(got) == jax.tree.structure(wanted)
        largest = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(wanted))
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            # Some tens of roundings in float64, of the largest entry.
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-14 * largest)


@pytest.mark.usefixtures("x64")
def test_the_transpose_that_is_given_is_the_one_that_runs():
    wrong = lambda residuals, cotangents: [-backward(residuals, cotangents)[0]]  # noqa: E731
    f = lambda x: jnp.sum(with_adjoint(forward, wrong, {"matrix": MATRIX}, [x])["scores"])  # noqa: E731
    right = jax.grad(lambda x: jnp.sum(plain(MATRIX, x)["scores"]))(X)
    np.testing.assert_allclose(jax.grad(f)(X), -right, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.grad(f))(X), -right, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_an_eager_call_equals_the_compiled_one():
    eager, compiled = ours(MATRIX, X), jax.jit(ours)(MATRIX, X)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), eager, compiled)
