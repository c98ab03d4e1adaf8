"""The update rule of a training job: the optimizer and the schedule its options name."""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

from xentjax import optim
from xentjax.train.config import Optimizer, Schedule


class UpdateRule(NamedTuple):
    """An optimizer and the schedule (step → learning rate) it was made with."""

    optimizer: optax.GradientTransformation
    learning_rate: Callable[[Any], Any]


def make_update_rule(
    optimizer: Optimizer,
    schedule: Schedule,
    *,
    peak: float,
    steps: int,
    weight_decay: float,
    clip_norm: float | None = None,
) -> UpdateRule:
    """Make the optimizer that the options name.

    Args:
        optimizer: its name; weight decay is for adamw only.
        schedule: its name; the warm-up takes a twentieth of the steps.
        peak: highest learning rate.
        steps: optimizer steps in all.
        weight_decay: decoupled, on weight matrices only.
        clip_norm: bound on the gradient's global norm, if any.
    """
    learning_rate = _schedule(schedule, peak, steps)
    options: dict[str, Any] = {"clip_norm": clip_norm}
    if optimizer == "adamw":
        options["weight_decay"] = weight_decay
    return UpdateRule(optim.optimizer(optimizer, learning_rate, **options), learning_rate)


def _schedule(name: Schedule, peak: float, steps: int) -> Callable[[Any], Any]:
    warmup = steps // 20
    if name == "constant":
        return optim.constant(peak)
    if name == "warmup_cosine":
        return optim.warmup_cosine(peak, warmup_steps=warmup, total_steps=steps)
    return optim.warmup_stable_decay(peak, warmup_steps=warmup, total_steps=steps)
