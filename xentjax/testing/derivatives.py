"""Clauses about derivatives: right, the same in both modes, and finite twice over."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.testing.point import Point, of_vector
from xentjax.testing.rounding import largest, rounding
from xentjax.testing.subject import Subject
from xentjax.testing.violation import Requirement, require

# The stencil below errs by step⁴·f⁽⁵⁾/30 + 1.5·eps·|f|/step: with step = eps^¼ (1.2e-4) some
# 1e-17·f⁽⁵⁾ + 3e-12·|f|. A smaller step than the optimal eps^⅕ seldom straddles a kink.
_EPS = float(np.finfo(np.float64).eps)
_STEP = _EPS**0.25


def gradient(subject: Subject) -> None:
    """Reverse mode agrees with central differences in float64, to 1e-7: orders one and two."""
    with jax.enable_x64(True):
        example = subject.example.cast(np.float64)
        for point in (example, example.equal_logits()):
            with require("gradient", point) as demand:
                for v in subject.directions(3):
                    _match_slope(demand, subject, v)
        with require("gradient", example) as demand:
            _match_curvature(demand, subject)


def jvp_equals_vjp(subject: Subject) -> None:
    """Forward and reverse mode are transposes: ⟨u, J v⟩ = ⟨v, Jᵀ u⟩, in float64."""
    u = subject.cotangent().astype(np.float64)
    with jax.enable_x64(True):
        example = subject.example.cast(np.float64)
        for point in (example, example.equal_logits()):
            with require("jvp_equals_vjp", point) as demand:
                inputs = point.arrays()
                _, pulled = subject.programs.pull_back(inputs, u)
                pulled = np.concatenate([np.ravel(g) for g in pulled])
                for v in subject.directions(2):
                    v = v.astype(np.float64)
                    _, pushed = subject.programs.push_forward(inputs, v)
                    terms = np.asarray(pushed) * u
                    # Each term carries the rounding of one example, and does not cancel it.
                    size = np.abs(terms).sum()
                    demand.close(
                        "⟨u, jvp(v)⟩ against ⟨v, vjp(u)⟩",
                        terms.sum(),
                        pulled @ v,
                        rounding(np.float64, v.size, point.magnitude(), size),
                    )


def hessian_finite(subject: Subject) -> None:
    """The Hessian is finite in every order of modes, and all orders and differences agree."""
    hessians = jax.jit(_hessians(subject))
    for point in (subject.example, subject.example.equal_logits()):
        with require("hessian_finite", point) as demand:
            modes = hessians(point.arrays(), point.vector(), subject.cotangent())
            for mode, hessian in modes.items():
                demand.finite(f"the Hessian, {mode}", hessian)
            wanted = modes["forward over reverse"]
            # Twice the usual bound: both sides are computed, and both round.
            bound = 2 * rounding(np.float32, subject.event_size, point.magnitude(), wanted)
            for mode, hessian in modes.items():
                what = f"the Hessian, {mode} against forward over reverse"
                demand.close(what, hessian, wanted, bound)
            _check_eager_hessian(demand, subject, wanted, bound)
    with jax.enable_x64(True):
        ties = subject.example.cast(np.float64).equal_logits()
        with require("hessian_finite", ties) as demand:
            _match_curvature(demand, subject)


def _check_eager_hessian(demand: Requirement, subject: Subject, wanted: Any, bound: float) -> None:
    """One product, without XLA, which turns 0·x into a select and so can hide a NaN."""
    inputs, u, v = demand.point.arrays(), subject.cotangent(), subject.directions(1)[0]
    losses = of_vector(subject.loss, subject.example.argnums, inputs)
    slope = jax.grad(lambda z: jnp.sum(u * losses(z)))
    _, got = jax.jvp(slope, (demand.point.vector(),), (jnp.asarray(v),))
    # A row has no more entries than its example has numbers, each off by at most `bound`.
    bound *= subject.event_size * len(subject.example.argnums)
    demand.close("the Hessian times a random direction, eager", got, np.asarray(wanted) @ v, bound)


def _hessians(subject: Subject) -> Any:
    def hessians(inputs: Any, x: Any, u: Any) -> dict[str, Any]:
        losses = of_vector(subject.loss, subject.example.argnums, inputs)

        def total(z: Any) -> Any:
            return jnp.sum(u * losses(z))

        return {
            "forward over reverse": jax.jacfwd(jax.grad(total))(x),
            "reverse over reverse": jax.jacrev(jax.grad(total))(x),
            "forward over forward": jax.jacfwd(jax.jacfwd(total))(x),
        }

    return hessians


def _match_slope(demand: Requirement, subject: Subject, v: np.ndarray) -> None:
    value, slope, _ = _curve_along(subject, demand.point, v, steps=(0,))[0]
    wanted = _difference([at[0] for at in _curve_along(subject, demand.point, v)])
    demand.close(
        "the gradient along a random direction, against central differences",
        slope @ v.astype(np.float64),
        wanted,
        _difference_tolerance(wanted, value),
    )


def _match_curvature(demand: Requirement, subject: Subject) -> None:
    v = subject.directions(1)[0]
    _, slope, bend = _curve_along(subject, demand.point, v, steps=(0,))[0]
    wanted = _difference([at[1] for at in _curve_along(subject, demand.point, v)])
    demand.close(
        "the Hessian times a random direction, against differences of the gradient",
        bend,
        wanted,
        _difference_tolerance(wanted, slope),
    )


def _curve_along(
    subject: Subject, point: Point, v: np.ndarray, steps: tuple[int, ...] = (-2, -1, 1, 2)
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Σ uᵢ·lossᵢ, its gradient and its Hessian times v, at x + step·v."""
    inputs, x = point.arrays(), np.asarray(point.vector())
    # In float64 from here on: a float32 step would itself be off by 6e-8.
    u, v = subject.cotangent().astype(np.float64), v.astype(np.float64)
    found = [subject.programs.curve(inputs, x + i * _STEP * v, u, v) for i in steps]
    return [(np.asarray(a), np.asarray(b), np.asarray(c)) for a, b, c in found]


def _difference(f: list[np.ndarray]) -> Any:
    """The slope of f from its values at −2, −1, 1 and 2 steps, by the five-point stencil."""
    return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * _STEP)


def _difference_tolerance(wanted: Any, f: Any) -> float:
    # 1e-7 of the answer, and the rounding of the stencil for logits of size 10 (see _STEP).
    return 1e-7 * largest(wanted) + 10 * 3 * _EPS / _STEP * (1 + largest(f))
