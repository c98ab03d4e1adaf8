"""Smaller steps when the loss no longer falls: for a run whose length nobody knows beforehand."""

import optax
from optax.contrib import reduce_on_plateau

from xentjax.optim.ranges import check_count, check_unit


def plateau(
    rule: optax.GradientTransformation,
    *,
    factor: float = 0.5,
    patience: int = 10,
    average_over: int = 1,
    min_improvement: float = 1e-4,
    cooldown: int = 0,
    min_scale: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """The rule, its steps scaled down each time the training loss has stopped falling.

    The losses of `average_over` steps are averaged to one reading. A reading improves if it is
    below (1 − r) times the best one. After `patience` readings without improvement in a row the
    scale is multiplied by `factor`. It has no memory of the validation loss, which is not known
    inside a step: average over an epoch's worth of steps to see through the noise of batches.

    Args:
        rule: any optax transformation whose steps may be scaled: not `lbfgs` with its line
            search nor `schedule_free`, which count on the step they chose.
        factor: what a reduction multiplies the scale by, in (0, 1).
        patience: readings without improvement before a reduction, at least 1.
        average_over: steps in a reading, at least 1.
        min_improvement: r in [0, 1), above 0.
        cooldown: readings after a reduction that do not count.
        min_scale: the scale stays at or above this, in [0, 1).

    Returns:
        The optax transformation; its `update` wants the loss as `value`.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> rule = plateau(optax.sgd(1.0), factor=0.5, patience=2)
        >>> state = rule.init(0.0)
        >>> for loss in (3.0, 3.0, 3.0):  # the second and third do not improve
        ...     step, state = rule.update(1.0, state, value=loss)
        >>> float(step)
        -0.5
    """
    check_unit(factor=factor, min_improvement=min_improvement, min_scale=min_scale)
    if factor == 0 or min_improvement == 0:
        raise ValueError(
            "factor and min_improvement must be above 0, got "
            f"factor={factor}, min_improvement={min_improvement}"
        )
    check_count(1, patience=patience, average_over=average_over)
    check_count(0, cooldown=cooldown)
    reduce = reduce_on_plateau(
        factor=factor,
        patience=patience,
        rtol=min_improvement,
        cooldown=cooldown,
        accumulation_size=average_over,
        min_scale=min_scale,
    )
    return optax.chain(rule, reduce)
