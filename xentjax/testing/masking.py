"""Clauses about `where`: a masked example is not there, whatever it holds."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from xentjax.testing.point import Point, push_forward
from xentjax.testing.rounding import rounding
from xentjax.testing.subject import Subject
from xentjax.testing.violation import Requirement, require

_FILLS = {"as they were": None, "NaN": np.nan, "inf": np.inf, "−inf": -np.inf}


def masked_equals_sliced(subject: Subject) -> str | None:
    """Under `where`, kept examples are as in the slice; masked ones are 0 in value and gradient."""
    if "where" not in subject.keywords:
        return "the loss takes no `where`"
    keep, where = _row_mask(subject)
    wanted = _slice("masked_equals_sliced", subject, keep, subject.cotangent()[keep])
    for name, fill in _FILLS.items():
        point = _fill(subject.example, keep, name, fill)
        with require("masked_equals_sliced", point) as demand:
            _check_rows(demand, subject, keep, where, wanted)
    with require("masked_equals_sliced", subject.example) as demand:
        _check_scattered(demand, subject)
    return None


def _check_rows(
    demand: Requirement, subject: Subject, keep: np.ndarray, where: np.ndarray, wanted: Any
) -> None:
    u, v, mask = subject.cotangent(), subject.directions(1)[0], jnp.asarray(where)
    both = subject.pull_back_both_ways(demand.point, u, where=mask)
    for how, (losses, gradients) in both.items():
        demand.same("the shape of the masked losses", losses.shape, subject.batch_shape)
        got = (losses[keep], tuple(g[keep] for g in gradients))
        for what, one, slice_ in zip(("losses", "gradient"), got, wanted, strict=True):
            bound = _bound(subject, slice_)
            demand.close(
                f"the {what} of kept examples, {how}, against the slice", one, slice_, bound
            )
        demand.zero(f"the losses of masked examples, {how}", losses[~keep])
        demand.zero(f"the gradient of masked examples, {how}", [g[~keep] for g in gradients])
    _, tangents = push_forward(
        subject.loss, demand.point.argnums, demand.point.arrays(), v, where=mask
    )
    demand.finite("the jvp", tangents)
    demand.zero("the jvp of masked examples", tangents[~keep])


def _check_scattered(demand: Requirement, subject: Subject) -> None:
    """A mask of single entries (tokens of sequences, where a batch has two axes), eager."""
    where = np.arange(np.prod(subject.batch_shape)).reshape(subject.batch_shape) % 3 != 1
    inputs = demand.point.arrays()
    wanted = np.where(where, subject.loss(*inputs), 0)
    got = subject.loss(*inputs, where=jnp.asarray(where))
    what = "the losses under a scattered mask, eager, against the plain losses"
    demand.close(what, got, wanted, _bound(subject, wanted))


def masked_mean(subject: Subject) -> str | None:
    """`reduction="mean"` under `where` is the mean of the slice, and 0 when nothing is kept."""
    missing = {"where", "reduction"} - subject.keywords
    if missing:
        return f"the loss takes no {' and no '.join(f'`{name}`' for name in sorted(missing))}"
    keep, where = _row_mask(subject)
    one = np.ones((), np.float32)
    mean, slope = _slice("masked_mean", subject, keep, one, reduction="mean")
    point = _fill(subject.example, keep, "NaN", np.nan)
    with require("masked_mean", point) as demand:
        got, gradients = _mean(subject, point, where)
        demand.close("the mean, against the mean of the slice", got, mean, _bound(subject, mean))
        kept = tuple(g[keep] for g in gradients)
        what = "the gradient of the mean, against the mean of the slice"
        demand.close(what, kept, slope, _bound(subject, slope))
        demand.zero("the gradient of masked examples", [g[~keep] for g in gradients])
    nothing = np.zeros_like(keep)
    point = _fill(subject.example, nothing, "NaN", np.nan)
    with require("masked_mean", point) as demand:
        got, gradients = _mean(subject, point, np.zeros_like(where))
        demand.same("the shape of the mean", got.shape, ())
        demand.zero("the mean of nothing", got)
        demand.zero("the gradient of the mean of nothing", gradients)
    return None


def _mean(subject: Subject, point: Point, where: np.ndarray) -> Any:
    one = np.ones((), np.float32)
    return subject.programs.pull_back(point.arrays(), one, where=where, reduction="mean")


def _bound(subject: Subject, wanted: Any) -> float:
    # A mean of n rounds no worse than its largest term, so one bound serves both clauses.
    return rounding(np.float32, subject.event_size, subject.example.magnitude(), wanted)


def _row_mask(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of the leading axis are kept (every other one), and the same for each example."""
    shape = subject.batch_shape
    keep = np.arange(shape[0]) % 2 == 0
    return keep, np.broadcast_to(keep.reshape(-1, *(1 for _ in shape[1:])), shape)


def _slice(clause: str, subject: Subject, keep: np.ndarray, u: np.ndarray, **options: Any) -> Any:
    """Losses and gradient of the kept examples alone."""
    kept = subject.example.rows("the kept examples alone", keep)
    with require(clause, kept):
        return subject.programs.pull_back(kept.arrays(), u, **options)


def _fill(example: Point, keep: np.ndarray, name: str, fill: float | None) -> Point:
    """The example with the logits of masked rows overwritten."""

    def overwrite(x: np.ndarray) -> np.ndarray:
        mask = keep.reshape(-1, *(1 for _ in x.shape[1:]))
        return x if fill is None else np.where(mask, x, np.float32(fill))

    return example.moved(f"{int((~keep).sum())} of {keep.size} rows masked, {name}", overwrite)
