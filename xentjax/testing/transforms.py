"""Clauses about transforms: jit, vmap, checkpoint, scan, linearize and sharding change nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from xentjax.testing.point import of_vector, pull_back
from xentjax.testing.rounding import rounding
from xentjax.testing.subject import Subject
from xentjax.testing.violation import Requirement, require


def jit_equals_eager(subject: Subject) -> None:
    """Losses and gradient are the same jitted and eager, up to rounding."""
    u, inputs = subject.cotangent(), subject.example.arrays()
    with require("jit_equals_eager", subject.example) as demand:
        # A call without a derivative first: under vjp even an eager loss sees tracers.
        losses = subject.loss(*inputs)
        jitted, gradients = subject.programs.pull_back(inputs, u)
        _match(demand, subject, "the losses under jit, against eager", jitted, losses)
        _, eager = pull_back(subject.loss, subject.example.argnums, inputs, u)
        _match(demand, subject, "the gradient under jit, against eager", gradients, eager)


def vmap_equals_loop(subject: Subject) -> None:
    """A batch, jax.vmap over single examples and a loop over them give the same numbers."""
    u, inputs = subject.cotangent(), subject.example.arrays()
    with require("vmap_equals_loop", subject.example) as demand:
        losses, gradients = subject.programs.pull_back(inputs, u)
        rows = (tuple(x[i : i + 1] for x in inputs) for i in range(len(u)))
        loop = np.concatenate(
            [subject.programs.pull_back(row, u[i : i + 1])[0] for i, row in enumerate(rows)]
        )
        _match(demand, subject, "the losses of the batch, against a loop", losses, loop)
        alone, one_gradient = jax.jit(jax.vmap(_pull_back(subject, subject.loss)))(
            tuple(x[:, None] for x in inputs), u[:, None]
        )
        _match(demand, subject, "the losses under vmap, against a loop", alone[:, 0], loop)
        one_gradient = tuple(g[:, 0] for g in one_gradient)
        _match(demand, subject, "the gradient under vmap, of the batch", one_gradient, gradients)


def traced_once(subject: Subject) -> None:
    """jax.jit traces the loss once for inputs of the same shapes and dtypes."""
    count = 0

    def counted(*inputs: Any) -> Any:
        nonlocal count
        count += 1
        return subject.loss(*inputs)

    jitted, example = jax.jit(counted), subject.example
    order = np.arange(example.logits.shape[0])
    with require("traced_once", example) as demand:
        for shift in range(3):
            jitted(*example.rows("", np.roll(order, shift)).arrays())
        demand.same("traces in three calls with inputs of the same shapes", count, 1)


def transforms(subject: Subject) -> None:
    """checkpoint, scan, linearize, jacfwd and jacrev agree with the plain loss and gradient."""
    u, v = subject.cotangent(), subject.directions(1)[0]
    inputs = subject.example.arrays()
    with require("transforms", subject.example) as demand:
        plain = subject.programs.pull_back(inputs, u)
        for how, loss in {
            "jax.checkpoint": jax.checkpoint(subject.loss),
            "jax.lax.scan over examples": partial(_scanned, subject.loss),
        }.items():
            got = jax.jit(_pull_back(subject, loss))(inputs, u)
            _match_both(demand, subject, how, got, plain)
        pushed = subject.programs.push_forward(inputs, v)
        linear, forward, reverse = jax.jit(_linear_maps(subject))(
            inputs, subject.example.vector(), v
        )
        _match(demand, subject, "jax.linearize, against jax.jvp", linear, pushed)
        _match(demand, subject, "jax.jacrev, against jax.jacfwd", reverse, forward)
        along = np.asarray(forward) @ v
        _match(demand, subject, "jax.jacfwd times a direction, against jax.jvp", along, pushed[1])


def sharded_equals_single(subject: Subject) -> str | None:
    """jax.shard_map over the examples gives the numbers of one device."""
    u, inputs = subject.cotangent(), subject.example.arrays()
    available = len(subject.devices)
    count = max((d for d in range(1, available + 1) if len(u) % d == 0), default=0)
    if count < 2:
        return f"{available} device(s) cannot share {len(u)} examples evenly"
    mesh = jax.make_mesh(
        (count,), ("batch",), axis_types=(AxisType.Auto,), devices=subject.devices[:count]
    )
    spec = PartitionSpec("batch")
    sharded = jax.shard_map(subject.loss, mesh=mesh, in_specs=spec, out_specs=spec)
    with require("sharded_equals_single", subject.example) as demand:
        plain = subject.programs.pull_back(inputs, u)
        got = jax.jit(_pull_back(subject, sharded))(inputs, u)
        _match_both(demand, subject, f"jax.shard_map on {count} devices", got, plain)
    return None


def _pull_back(subject: Subject, loss: Callable[..., Any]) -> Callable[..., Any]:
    return partial(pull_back, loss, subject.example.argnums)


def _scanned(loss: Callable[..., Any], *inputs: Any) -> Any:
    rows = tuple(x[:, None] for x in inputs)
    _, losses = jax.lax.scan(lambda carry, row: (carry, loss(*row)), None, rows)
    return losses[:, 0]


def _linear_maps(subject: Subject) -> Callable[..., Any]:
    """(inputs, x, v) → the losses and tangents of jax.linearize, and the Jacobian both ways."""

    def maps(inputs: Any, x: Any, v: Any) -> Any:
        losses = of_vector(subject.loss, subject.example.argnums, inputs)
        value, linear = jax.linearize(losses, x)
        return (value, linear(v)), jax.jacfwd(losses)(x), jax.jacrev(losses)(x)

    return maps


def _match(demand: Requirement, subject: Subject, what: str, got: Any, wanted: Any) -> None:
    scale = subject.example.magnitude()
    demand.close(what, got, wanted, rounding(np.float32, subject.event_size, scale, wanted))


def _match_both(demand: Requirement, subject: Subject, how: str, got: Any, wanted: Any) -> None:
    _match(demand, subject, f"the losses under {how}", got[0], wanted[0])
    _match(demand, subject, f"the gradient under {how}", got[1], wanted[1])
