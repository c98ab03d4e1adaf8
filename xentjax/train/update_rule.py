"""The update rule: an optimizer and its learning rate, from names or from functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

from xentjax import optim

_PEAK = 1e-3


class UpdateRule(NamedTuple):
    """An optimizer and the schedule (step → learning rate) it was made with, for reports."""

    optimizer: optax.GradientTransformation
    learning_rate: Any


def resolve_rule(optimizer: Any, schedule: Any, *, steps: int, **options: Any) -> UpdateRule:
    """Make the update rule that was asked for.

    Args:
        optimizer: a name of `optim.optimizer`, a function of a learning rate, or an optax
            transformation.
        schedule: the learning rate: a number, a (traced) scalar, a function of the step, or the
            name of a schedule with a peak of 1e-3; None for "warmup_cosine". For dog, lbfgs and
            prodigy the peak is 1, and None is "constant": a line search has no use for a warm-up.
        steps: optimizer steps in all.
        **options: of the named optimizer or of the function.

    Raises:
        ValueError: if a transformation comes with a schedule, which it could not follow.
    """
    if isinstance(optimizer, optax.GradientTransformation):
        if schedule is not None or options:
            raise ValueError(
                "schedule: an optax transformation has its learning rate in it already; leave "
                "schedule out, or give a name or a function such as optim.adamw as the optimizer"
            )
        return UpdateRule(optimizer, None)
    finds_its_rate = isinstance(optimizer, str) and optimizer in optim.RATE_FREE
    rate = ("constant" if finds_its_rate else "warmup_cosine") if schedule is None else schedule
    if isinstance(rate, str):
        rate = optim.schedule(rate, 1.0 if finds_its_rate else _PEAK, steps=steps)
    make: Callable[..., Any] = optimizer if callable(optimizer) else _named(optimizer)
    return UpdateRule(make(rate, **options), rate)


def _named(name: str) -> Callable[..., Any]:
    return lambda rate, **options: optim.optimizer(name, rate, **options)
