"""Every fused loss inside every JAX transform: one table, one row a transform.

In float64, where a wrong derivative and a rounding are eight digits apart. Seven examples in
tiles of three: several tiles, the last one padded.
"""

import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.fused import oracle
from xentjax.fused import linear_cross_entropy, linear_kl_divergence, linear_log_probs

N, D, V = 7, 3, 5
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, V, N)
WHERE = np.arange(N) != 2
WEIGHTS = RNG.uniform(0.5, 2, N)
COTANGENTS = RNG.normal(size=(3, N))
POINT = {
    "hidden": RNG.normal(size=(N, D)),
    "weight": RNG.normal(size=(D, V)),
    "soft_cap": np.float64(4.0),
    "z_loss": np.float64(0.1),
}
TEACHER = {"hidden": RNG.normal(size=(N, 2)), "weight": RNG.normal(size=(2, V))}
ALONG = {name: RNG.normal(size=np.shape(x)) for name, x in POINT.items()}


def mean_with_options(point):
    options = {"label_smoothing": 0.2, "weights": WEIGHTS, "where": WHERE}
    return linear_cross_entropy(labels=LABELS, tile=3, **options, **point)


def mean_defined(point):
    operands = {**point, "label_smoothing": 0.2, "weights": WEIGHTS}
    return oracle.cross_entropy(operands, LABELS, where=WHERE, xp=jnp)


def losses(point):
    return linear_cross_entropy(labels=LABELS, tile=3, reduction="none", **point)


def losses_of_one_tile(point):
    return linear_cross_entropy(labels=LABELS, tile=N, reduction="none", **point)


def losses_defined(point):
    return oracle.cross_entropy(point, LABELS, reduction="none", xp=jnp)


def log_probs(point):
    options = {name: point[name] for name in ("hidden", "weight", "soft_cap")}
    return jnp.stack(linear_log_probs(labels=LABELS, tile=3, **options)[:3])


def log_probs_defined(point):
    return jnp.stack(oracle.log_probs(point, LABELS, xp=jnp))


def divergence(point):
    return linear_kl_divergence(
        point["hidden"],
        point["weight"],
        TEACHER["hidden"] * point["z_loss"],
        TEACHER["weight"],
        student_soft_cap=point["soft_cap"],
        tile=3,
    )


def divergence_defined(point):
    teacher = {**TEACHER, "hidden": TEACHER["hidden"] * point["z_loss"]}
    rows = oracle.kl_divergence(oracle.logits_of(point, xp=jnp), oracle.logits_of(teacher), jnp)
    return jnp.mean(rows)


# (fused, its definition)
FUNCTIONS = {
    "mean": (mean_with_options, mean_defined),
    "none": (losses, losses_defined),
    "none, one tile": (losses_of_one_tile, losses_defined),
    "log_probs": (log_probs, log_probs_defined),
    "divergence": (divergence, divergence_defined),
}


def scalar(function):
    """Random cotangents for what is not a scalar, and a curve, so that they have a slope too."""

    def total(point):
        found = function(point)
        cotangents = COTANGENTS[: len(found)] if found.ndim == 2 else COTANGENTS[0]
        cotangents = cotangents if found.ndim else np.float64(1.0)
        return jnp.sum(cotangents * found + 0.1 * found**2)

    return total


def dot(a, b):
    return sum(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)))


def only(point, function, *names):
    """A function of some operands, the others fixed."""
    rest = {name: x for name, x in point.items() if name not in names}
    return lambda some: function({**rest, **some})


def some(trees, *names):
    """These operands of each tree."""
    return [{name: tree[name] for name in names} for tree in trees]


def mapped(trees, function, *names):
    """Mapped over three values of these operands."""
    points, steps = some(trees, *names)
    stack = jax.tree.map(lambda x, y: jnp.stack([x, 2 * y, x + y]), points, steps)
    return jax.vmap(only(trees[0], function, *names))(stack)


def along(function, point, direction):
    return jax.jvp(function, (point,), (direction,))[1]


def forward_over_reverse(function, point, direction):
    return along(jax.grad(function), point, direction)


def reverse_over_reverse(function, point, direction):
    return jax.grad(lambda p: dot(jax.grad(function)(p), direction))(point)


def reverse_over_forward(function, point, direction):
    return jax.grad(lambda p: along(function, p, direction))(point)


def third(function, point, direction):
    return jax.grad(lambda p: dot(forward_over_reverse(function, p, direction), direction))(point)


def scanned(function):
    """A user's own scan: three steps, each at another point."""

    def total(point):
        def step(carry, size):
            moved = jax.tree.map(lambda x: x * size, point)
            return 0.5 * carry + function(moved), carry

        return lax.scan(step, jnp.float64(0.0), jnp.array([1.0, 0.5, 1.5]))[0]

    return total


def gradients_in_scan(function, point):
    """Gradient accumulation."""

    def step(carry, size):
        slopes = jax.grad(lambda p: function(p) * size)(point)
        return jax.tree.map(jnp.add, carry, slopes), size

    return lax.scan(step, jax.tree.map(jnp.zeros_like, point), jnp.array([1.0, 0.5]))[0]


HW = ("hidden", "weight")
ROWS = {
    "value": lambda f, p, _: f(p),
    "grad": lambda f, p, _: jax.grad(scalar(f))(p),
    "grad, frozen head": lambda f, p, t: jax.grad(only(p, scalar(f), "hidden"))(
        some((p, t), "hidden")[0]
    ),
    "grad, frozen trunk": lambda f, p, t: jax.grad(only(p, scalar(f), "weight"))(
        some((p, t), "weight")[0]
    ),
    "value_and_grad": lambda f, p, _: jax.value_and_grad(scalar(f))(p),
    "jvp": lambda f, p, t: jax.jvp(f, (p,), (t,)),
    "jvp, hidden alone": lambda f, p, t: along(only(p, f, "hidden"), *some((p, t), "hidden")),
    "jvp, weight alone": lambda f, p, t: along(only(p, f, "weight"), *some((p, t), "weight")),
    "linearize": lambda f, p, t: jax.linearize(f, p)[1](t),
    "vjp": lambda f, p, _: jax.vjp(f, p)[1](0.5 + jnp.cos(f(p))),
    "jacfwd": lambda f, p, t: jax.jacfwd(only(p, f, *HW))(some((p, t), *HW)[0]),
    "jacrev": lambda f, p, t: jax.jacrev(only(p, f, *HW))(some((p, t), *HW)[0]),
    "vmap over hidden": lambda f, p, t: mapped((p, t), f, "hidden"),
    "vmap over weight": lambda f, p, t: mapped((p, t), f, "weight"),
    "vmap over both": lambda f, p, t: mapped((p, t), f, *HW),
    "vmap of grad, over hidden": lambda f, p, t: mapped((p, t), jax.grad(scalar(f)), "hidden"),
    "vmap of grad, over weight": lambda f, p, t: mapped((p, t), jax.grad(scalar(f)), "weight"),
    "vmap of grad, over both": lambda f, p, t: mapped((p, t), jax.grad(scalar(f)), *HW),
    "grad of vmap": lambda f, p, t: jax.grad(
        lambda weight: jnp.sum(
            jnp.sin(
                jax.vmap(lambda s: scalar(f)({**p, "hidden": s * p["hidden"], **weight}))(
                    jnp.array([1.0, 0.5])
                )
            )
        )
    )(some((p, t), "weight")[0]),
    "hessian": lambda f, p, t: jax.hessian(only(p, scalar(f), *HW))(some((p, t), *HW)[0]),
    "hessian, reverse over forward": lambda f, p, t: jax.jacrev(
        jax.jacfwd(only(p, scalar(f), *HW))
    )(some((p, t), *HW)[0]),
    "hessian, reverse over reverse": lambda f, p, t: jax.jacrev(
        jax.jacrev(only(p, scalar(f), *HW))
    )(some((p, t), *HW)[0]),
    "hvp, forward over reverse": lambda f, p, t: forward_over_reverse(scalar(f), p, t),
    "hvp, reverse over reverse": lambda f, p, t: reverse_over_reverse(scalar(f), p, t),
    "hvp, reverse over forward": lambda f, p, t: reverse_over_forward(scalar(f), p, t),
    "hvp, frozen head": lambda f, p, t: forward_over_reverse(
        only(p, scalar(f), "hidden"), *some((p, t), "hidden")
    ),
    "third derivative": lambda f, p, t: third(scalar(f), p, t),
    "checkpoint": lambda f, p, _: jax.grad(jax.checkpoint(scalar(f)))(p),
    "checkpoint, second derivative": lambda f, p, t: forward_over_reverse(
        jax.checkpoint(scalar(f)), p, t
    ),
    "scan": lambda f, p, _: jax.value_and_grad(scanned(scalar(f)))(p),
    "scan, gradients inside": lambda f, p, _: gradients_in_scan(scalar(f), p),
    "scan, hvp forward over reverse": lambda f, p, t: forward_over_reverse(
        scanned(scalar(f)), p, t
    ),
    "scan, hvp reverse over reverse": lambda f, p, t: reverse_over_reverse(
        scanned(scalar(f)), p, t
    ),
    "scan, gradients inside, differentiated": lambda f, p, t: jax.grad(
        lambda q: dot(gradients_in_scan(scalar(f), q), t)
    )(p),
}
# The derivative of what jit made of a loss, and not only jit around the derivative.
ROWS["grad of jit"] = lambda f, p, _: jax.grad(jax.jit(scalar(f)))(p)


# These take seconds to compile; the mean has most of them in every run. A divergence goes through
# the mean's operation, or that of the losses.
SLOW = {
    "mean": (
        "hessian, reverse over reverse",
        "scan, gradients inside, differentiated",
        "vmap of grad, over hidden",
        "vmap of grad, over weight",
        "jacrev",
        "hessian, reverse over forward",
        "hvp, reverse over forward",
        "checkpoint, second derivative",
        "third derivative",
        "scan, hvp forward over reverse",
        "hvp, forward over reverse",
        "hvp, frozen head",
        "scan, hvp reverse over reverse",
        "vmap of grad, over both",
        "value_and_grad",
        "grad of jit",
        "checkpoint",
    ),
    "none": (
        "hvp, forward over reverse",
        "vmap of grad, over both",
        "jacfwd",
        "vmap of grad, over hidden",
        "vmap of grad, over weight",
        "hessian",
        "hessian, reverse over forward",
        "hessian, reverse over reverse",
        "hvp, reverse over forward",
        "hvp, frozen head",
        "third derivative",
        "checkpoint, second derivative",
        "scan",
        "scan, hvp forward over reverse",
        "scan, hvp reverse over reverse",
        "scan, gradients inside, differentiated",
        "scan, gradients inside",
        "grad of vmap",
        "jacrev",
        "grad of jit",
        "value_and_grad",
        "vjp",
        "linearize",
        "checkpoint",
        "grad, frozen head",
        "grad, frozen trunk",
    ),
    "log_probs": tuple(row for row in ROWS if row not in ("value", "grad")),
    "divergence": tuple(row for row in ROWS if row != "grad"),
}
CASES = [
    pytest.param(f, row, marks=[pytest.mark.slow] if row in SLOW.get(f, ()) else [])
    for f in FUNCTIONS
    for row in ROWS
]


@pytest.mark.parametrize(("function", "row"), CASES)
@pytest.mark.usefixtures("x64")
def test_a_transform_gives_what_it_gives_of_the_definition(function, row):
    transform, (fused, defined) = ROWS[row], FUNCTIONS[function]
    got = jax.jit(partial(transform, fused))(POINT, ALONG)
    wanted = jax.jit(
        partial(transform, defined), compiler_options={"xla_backend_optimization_level": 0}
    )(POINT, ALONG)
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    largest = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(wanted))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == np.float64
        # Some hundreds of roundings in float64, of the largest entry.
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("where_is_grad", ["outside", "inside"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.usefixtures("x64")
def test_devices_that_share_a_batch_add_up_to_one_device(reduction, where_is_grad):
    rng = np.random.default_rng(1)
    hidden, weight, labels = (
        rng.normal(size=(12, D)),
        rng.normal(size=(D, V)),
        rng.integers(0, V, 12),
    )
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows, whole = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()

    def loss(hidden, weight, labels):
        options = {"label_smoothing": 0.1, "z_loss": 0.01, "reduction": reduction, "tile": 2}
        return jnp.mean(linear_cross_entropy(hidden, weight, labels, **options) ** 2)

    def everyone(hidden, weight, labels):
        return lax.pmean(loss(hidden, weight, labels), "data")

    def single(hidden, weight, labels):
        """The mean over devices of what each makes of its own three rows."""
        parts = [loss(hidden[i : i + 3], weight, labels[i : i + 3]) for i in range(0, 12, 3)]
        return sum(parts) / 4

    slopes = lambda f: jax.value_and_grad(f, argnums=(0, 1))  # noqa: E731
    if where_is_grad == "outside":
        shared = jax.shard_map(everyone, mesh=mesh, in_specs=(rows, whole, rows), out_specs=whole)
        found = slopes(shared)
    else:
        found = jax.shard_map(
            slopes(everyone),
            mesh=mesh,
            in_specs=(rows, whole, rows),
            out_specs=(whole, (rows, whole)),
        )
    got = jax.jit(found)(hidden, weight, labels)
    wanted = jax.jit(slopes(single))(hidden, weight, labels)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-13), got, wanted)


def test_the_docs_hold_the_same_table():
    page = Path(__file__).parents[2] / "docs" / "design" / "05-linear-cross-entropy.md"
    listed = re.split(r"[|;]", page.read_text())
    assert set(ROWS) - {"value"} <= {entry.strip() for entry in listed}
