"""Gradient descent, plain and with momentum: the rules that do not rescale the gradient.

Prefer them to the adaptive ones when you can afford to tune the learning rate: on images they
still generalize best.
"""

import optax

from xentjax.optim.clipping import clipped
from xentjax.optim.ranges import Scalar, check_positive, check_unit, is_known
from xentjax.optim.rates import LearningRate


def sgd(
    learning_rate: LearningRate,
    *,
    momentum: Scalar = 0.0,
    nesterov: bool = False,
    clip_norm: Scalar | None = None,
) -> optax.GradientTransformation:
    """Stochastic gradient descent, with momentum if asked for.

    m ← μ·m + g, θ ← θ − η·m; with Nesterov's form θ ← θ − η·(g + μ·m).

    Args:
        learning_rate: η, a positive number or a schedule.
        momentum: μ in [0, 1).
        nesterov: look ahead; wants momentum.
        clip_norm: the largest global norm of the gradient, None for no clipping.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range, or nesterov has no momentum.

    Example:
        >>> rule = sgd(0.1)
        >>> update, _ = rule.update({"w": 2.0}, rule.init({"w": 1.0}))
        >>> round(float(update["w"]), 6)
        -0.2

    Reference:
        I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization
        and momentum in deep learning", 2013.
    """
    check_positive(learning_rate=learning_rate)
    check_unit(momentum=momentum)
    if nesterov and is_known(momentum) and momentum == 0:
        raise ValueError("nesterov=True wants a momentum above 0, got momentum=0.0; try 0.9")
    with_momentum = not is_known(momentum) or momentum > 0
    rule = optax.sgd(learning_rate, momentum=momentum if with_momentum else None, nesterov=nesterov)
    return clipped(rule, norm=clip_norm)


def momentum(
    learning_rate: LearningRate, *, momentum: Scalar = 0.9
) -> optax.GradientTransformation:
    """Gradient descent with a heavy ball: m ← μ·m + g, θ ← θ − η·m.

    Args:
        learning_rate: η, a positive number or a schedule; a step is up to η/(1 − μ)·g.
        momentum: μ in [0, 1).

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> rule = momentum(0.1, momentum=0.5)
        >>> state = rule.init(0.0)
        >>> for _ in range(2):
        ...     update, state = rule.update(1.0, state)
        >>> round(float(update), 6)  # −0.1·(1 + 0.5)
        -0.15

    Reference:
        B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """
    return sgd(learning_rate, momentum=momentum)


def nesterov(
    learning_rate: LearningRate, *, momentum: Scalar = 0.9
) -> optax.GradientTransformation:
    """Momentum that looks one step ahead: m ← μ·m + g, θ ← θ − η·(g + μ·m).

    Prefer it to `momentum`: it costs the same and overshoots less.

    Args:
        learning_rate: η, a positive number or a schedule; a step is up to η/(1 − μ)·g.
        momentum: μ in (0, 1).

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> rule = nesterov(0.1, momentum=0.5)
        >>> update, _ = rule.update(1.0, rule.init(0.0))
        >>> round(float(update), 6)  # −0.1·(1 + 0.5·1)
        -0.15

    Reference:
        Y. Nesterov, "A method for solving the convex programming problem with convergence rate
        O(1/k²)", 1983.
    """
    return sgd(learning_rate, momentum=momentum, nesterov=True)
