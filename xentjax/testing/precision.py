"""Clauses about numbers: shapes and dtypes, extreme logits, 16 bits."""

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.testing.point import Point
from xentjax.testing.rounding import largest, rounding
from xentjax.testing.subject import Subject
from xentjax.testing.violation import require

_HALF = (jnp.bfloat16, jnp.float16)
_UPCAST = (
    "compute in float32: logits.astype(jnp.promote_types(logits.dtype, jnp.float32)); or pass "
    'leave_out={"shapes_and_dtypes": "why", "low_precision": "why"}'
)


def shapes_and_dtypes(subject: Subject) -> None:
    """One loss an example; float32 out of 16 and 32 bits, float64 out of 64."""
    for dtype in (np.float32, *_HALF):
        _check_output(subject, subject.example.cast(dtype), np.float32)
    with jax.enable_x64(True):
        _check_output(subject, subject.example.cast(np.float64), np.float64)


def _check_output(subject: Subject, point: Point, dtype: type) -> None:
    with require("shapes_and_dtypes", point) as demand:
        losses = jax.eval_shape(subject.loss, *point.arrays())
        if not isinstance(losses, jax.ShapeDtypeStruct):
            demand.same("what the loss returns", type(losses).__name__, "one array")
        remedy = _shape_remedy(losses.shape, point.logits.shape)
        demand.same("the shape of the losses", losses.shape, subject.batch_shape, remedy)
        demand.same("the dtype of the losses", losses.dtype.name, np.dtype(dtype).name, _UPCAST)


def _shape_remedy(got: tuple[int, ...], logits: tuple[int, ...]) -> str | None:
    """The event_dims under which these losses would be right, if there are such."""
    if not got:
        return "return one loss an example, and reduce afterwards"
    trailing = len(logits) - len(got)
    if got != logits[: len(got)]:
        return None
    if trailing == 0:
        return "pass event_dims=0 for an elementwise loss"
    return f"pass event_dims={trailing}, the trailing axes of the logits that one loss consumes"


def finite_at_extremes(subject: Subject) -> None:
    """Losses and gradient are finite at logits of ±1e4, eager and jitted."""
    u, example = subject.cotangent(), subject.example
    rng = np.random.default_rng((subject.seed, 2))
    factor = 1e4 / max(example.magnitude(), float(np.finfo(np.float32).tiny))
    points = (
        example.moved("the example logits scaled to 1e4", lambda x: x * factor),
        example.moved("logits ±1e4", lambda x: 1e4 * rng.choice([-1.0, 1.0], x.shape)),
    )
    for point in points:
        with require("finite_at_extremes", point) as demand:
            for how, (losses, gradients) in subject.pull_back_both_ways(point, u).items():
                demand.finite(f"the losses, {how}", losses)
                demand.finite(f"the gradient, {how}", gradients)


def low_precision(subject: Subject) -> None:
    """16-bit logits are upcast once: the loss has float32's error, the gradient one rounding."""
    u = subject.cotangent()
    for dtype in (np.float32, *_HALF):
        point = subject.example.cast(dtype)
        with jax.enable_x64(True):
            exact = point.cast(np.float64)
            with require("low_precision", exact):
                exactly = subject.programs.pull_back(exact.arrays(), u.astype(np.float64))
                truth, true_gradient = jax.tree.map(np.asarray, exactly)
        with require("low_precision", point) as demand:
            losses, gradient = subject.programs.pull_back(point.arrays(), u)
            demand.close(
                "the losses, against float64 on the same logits",
                losses,
                truth,
                rounding(np.float32, subject.event_size, point.magnitude(), truth),
            )
            for g in gradient:
                demand.same("the dtype of the gradient", g.dtype.name, np.dtype(dtype).name)
            demand.close(
                "the gradient, against float64 on the same logits",
                gradient,
                true_gradient,
                _gradient_tolerance(subject, point, dtype, true_gradient),
            )


def _gradient_tolerance(subject: Subject, point: Point, dtype: type, wanted: tuple) -> float:
    # float32's rounding, then one to `dtype`, which may fall among its subnormals.
    info = jnp.finfo(dtype)
    last = float(info.eps) * largest(wanted) + float(info.smallest_subnormal)
    return last + rounding(np.float32, subject.event_size, point.magnitude(), wanted)
