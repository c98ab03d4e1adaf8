"""Schedules by name: functions from a step to a value, the learning rate most of all.

Each takes the number of steps already taken (0 for the first) as an int or a traced integer,
and returns a float32 scalar. Its peak and its end are in the unit of the value and may be traced,
as in a sweep. They stand beside optax's, which test them, because theirs are not exact at the
corners, and count steps in float32.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from xentjax.optim.cycles import one_cycle, sgdr, triangular
from xentjax.optim.decays import constant, cosine, exponential, linear, piecewise, polynomial
from xentjax.optim.names import check_options, find, options_of
from xentjax.optim.progress import Schedule
from xentjax.optim.ranges import Scalar, check_count
from xentjax.optim.warmups import inverse_sqrt, warmup_cosine, warmup_stable_decay


def schedule(name: str, peak: Scalar, *, steps: int, **options: Any) -> Schedule:
    """Makes a schedule for a run of so many steps by name, so that a config can be plain text.

    What is not given is chosen for the run: a warm-up of a twentieth of it, the end at its end;
    five cycles for triangular, three (1 + 2 + 4 sevenths) for sgdr; a hundredth of the peak in
    the end for exponential; tenths at a half and at three quarters for piecewise.

    Args:
        name: one of constant, cosine, exponential, inverse_sqrt, linear, one_cycle, piecewise,
            polynomial, sgdr, triangular, warmup_cosine and warmup_stable_decay.
        peak: the highest value.
        steps: of the run, at least 1.
        **options: the keyword arguments of that function.

    Returns:
        The schedule.

    Raises:
        ValueError: if there is no schedule of that name, or a number is outside its range.
        TypeError: if it has no option of a name given.

    Example:
        >>> rate = schedule("warmup_cosine", 1.0, steps=100)
        >>> [round(float(rate(step)), 2) for step in (0, 5, 100)]
        [0.0, 1.0, 0.0]
        >>> schedule("cosin", 1.0, steps=100)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: name must be one of constant, ..., got 'cosin'; did you mean 'cosine'?
    """
    entry = find(name, _BY_NAME)
    check_count(1, steps=steps)
    check_options(name, options, options_of(entry.make))
    return entry.make(peak, **{**entry.defaults(steps), **options})


class _Entry(NamedTuple):
    make: Callable[..., Schedule]
    defaults: Callable[[int], dict[str, Any]]  # from the steps of the run


def _whole(steps: int) -> dict[str, Any]:
    return {"total_steps": steps}


def _warmed(steps: int) -> dict[str, Any]:
    return {"warmup_steps": steps // 20, "total_steps": steps}


_BY_NAME = {
    "constant": _Entry(constant, lambda _: {}),
    "cosine": _Entry(cosine, _whole),
    "exponential": _Entry(exponential, lambda steps: {"decay_rate": 0.01, "decay_steps": steps}),
    "inverse_sqrt": _Entry(inverse_sqrt, lambda steps: {"warmup_steps": max(1, steps // 20)}),
    "linear": _Entry(linear, _whole),
    "one_cycle": _Entry(one_cycle, lambda steps: {"total_steps": max(2, steps)}),
    "piecewise": _Entry(
        piecewise, lambda steps: {"scales": {max(1, steps // 2): 0.1, max(2, 3 * steps // 4): 0.1}}
    ),
    "polynomial": _Entry(polynomial, _whole),
    # Rounded up, so that no cycle starts just before the end.
    "sgdr": _Entry(sgdr, lambda steps: {"cycle_steps": -(-steps // 7)}),
    "triangular": _Entry(triangular, lambda steps: {"cycle_steps": max(2, -(-steps // 5))}),
    "warmup_cosine": _Entry(warmup_cosine, _warmed),
    "warmup_stable_decay": _Entry(warmup_stable_decay, _warmed),
}
