"""Rules with a learning rate for each weight, other than Adam: less memory, or less to tune.

Prefer `rmsprop` for recurrent networks and reinforcement learning, `adagrad` for sparse
features, `adafactor` and `lion` where the optimizer's memory counts.
"""

import optax

from xentjax.optim.adam import Mask
from xentjax.optim.masks import decay_mask
from xentjax.optim.ranges import (
    Scalar,
    check_count,
    check_not_negative,
    check_positive,
    check_unit,
    is_known,
)
from xentjax.optim.rates import LearningRate


def rmsprop(
    learning_rate: LearningRate,
    *,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    momentum: Scalar = 0.0,
    centered: bool = False,
) -> optax.GradientTransformation:
    """Steps divided by the root of the running mean of squares.

    v ← ρ·v + (1 − ρ)·g², θ ← θ − η·g/√(v + ε); centered, √(v − ḡ² + ε) with the running mean ḡ.
    v starts at 0 and is not corrected, so the first steps are longer than η.

    Args:
        learning_rate: η, a positive number or a schedule.
        decay: ρ in [0, 1).
        eps: ε, positive; inside the root.
        momentum: of the scaled steps, in [0, 1).
        centered: divide by the running standard deviation instead.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> rule = rmsprop(0.1, decay=0.75)
        >>> update, _ = rule.update({"w": 3.0}, rule.init({"w": 1.0}))
        >>> round(float(update["w"]), 4)  # −0.1·3/√(¼·9)
        -0.2

    Reference:
        T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", 2012.
    """
    check_positive(learning_rate=learning_rate, eps=eps)
    check_unit(decay=decay, momentum=momentum)
    with_momentum = not is_known(momentum) or momentum > 0
    return optax.rmsprop(
        learning_rate,
        decay=decay,
        eps=eps,
        centered=centered,
        momentum=momentum if with_momentum else None,
    )


def adagrad(
    learning_rate: LearningRate, *, initial: Scalar = 0.1, eps: Scalar = 1e-7
) -> optax.GradientTransformation:
    """Steps divided by the root of the sum of squares so far, so that they shrink as 1/√t.

    s ← s + g², θ ← θ − η·g/√(s + ε). Prefer it where most features are rare: each keeps a high
    rate until it has been seen.

    Args:
        learning_rate: η, a positive number or a schedule.
        initial: s before the first step, not negative.
        eps: ε, positive.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> import jax.numpy as jnp
        >>> rule = adagrad(0.1, initial=0.0)
        >>> w, g = jnp.float32(1.0), jnp.float32(3.0)
        >>> update, _ = rule.update(g, rule.init(w))
        >>> round(float(update), 4)
        -0.1

    Reference:
        J. Duchi, E. Hazan and Y. Singer, "Adaptive Subgradient Methods for Online Learning and
        Stochastic Optimization", 2011.
    """
    check_positive(learning_rate=learning_rate, eps=eps)
    check_not_negative(initial=initial)
    return optax.adagrad(learning_rate, initial_accumulator_value=initial, eps=eps)


def lion(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    weight_decay: Scalar = 0.1,
    mask: Mask = decay_mask,
) -> optax.GradientTransformation:
    """The sign of a momentum: every weight moves by η, and there is one moment to store.

    θ ← θ − η·(sign(β₁·m + (1 − β₁)·g) + λ·θ), then m ← β₂·m + (1 − β₂)·g. Take an η three to ten
    times below Adam's and a λ as many times above.

    Args:
        learning_rate: η, a positive number or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        weight_decay: λ, not negative.
        mask: a tree of bools, or a function from parameters to one; None decays everything.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> rule = lion(0.1)
        >>> update, _ = rule.update({"w": 0.003}, rule.init({"w": 1.0}), {"w": 1.0})
        >>> round(float(update["w"]), 4)
        -0.1

    Reference:
        X. Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023.
    """
    check_positive(learning_rate=learning_rate)
    check_unit(b1=b1, b2=b2)
    check_not_negative(weight_decay=weight_decay)
    return optax.lion(learning_rate, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask)


def adafactor(
    learning_rate: LearningRate,
    *,
    decay_power: Scalar = 0.8,
    momentum: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    mask: Mask = decay_mask,
    scale_by_weights: bool = True,
    min_factored: int = 128,
) -> optax.GradientTransformation:
    """Adam's second moment from its row and column means: R + C numbers for an R × C matrix.

    v̂ᵢⱼ = rᵢ·cⱼ/mean(r), with running means of squares whose decay is 1 − t^−p; the step g/√v̂ is
    cut to a root mean square of 1 and, as a rule, multiplied by that of the weights, then by η.

    Args:
        learning_rate: η, a positive number or a schedule, relative to the size of the weights if
            scale_by_weights: 0.01 is usual.
        decay_power: p, positive.
        momentum: of the steps, in [0, 1); above 0 it costs the memory of the weights again.
        weight_decay: λ, not negative; a step takes η·λ·θ, as in `adamw`.
        mask: a tree of bools, or a function from parameters to one; None decays everything.
        scale_by_weights: multiply a step by the root mean square of its array's weights.
        min_factored: an array is factored if two of its dimensions are this long, at least 1.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> import jax.numpy as jnp
        >>> rule = adafactor(0.01)
        >>> w, g = jnp.float32(2.0), jnp.float32(5.0)
        >>> update, _ = rule.update(g, rule.init(w), w)
        >>> round(float(update), 4)  # −0.01·2·sign(5)
        -0.02

    Reference:
        N. Shazeer and M. Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
        2018.
    """
    check_positive(learning_rate=learning_rate, decay_power=decay_power)
    check_unit(momentum=momentum)
    check_not_negative(weight_decay=weight_decay)
    check_count(1, min_factored=min_factored)
    with_momentum = not is_known(momentum) or momentum > 0
    decays = not is_known(weight_decay) or weight_decay > 0
    return optax.adafactor(
        learning_rate,
        min_dim_size_to_factor=min_factored,
        decay_rate=decay_power,
        multiply_by_parameter_scale=scale_by_weights,
        momentum=momentum if with_momentum else None,
        # Optax takes λ·θ as it is; times η it fades with the schedule, like adamw's.
        weight_decay_rate=_product(learning_rate, weight_decay) if decays else None,
        weight_decay_mask=mask,
    )


def _product(learning_rate: LearningRate, weight_decay: Scalar) -> LearningRate:
    if callable(learning_rate):
        return lambda step: learning_rate(step) * weight_decay
    return learning_rate * weight_decay
