"""AdamW without a schedule: an average of the weights takes the place of the decay."""

import optax
from optax.contrib import schedule_free as optax_schedule_free

from xentjax.optim.adam import Mask
from xentjax.optim.masks import decay_mask
from xentjax.optim.ranges import Scalar, check_not_negative, check_positive, check_unit, is_known
from xentjax.optim.rates import LearningRate


def schedule_free(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.01,
    mask: Mask = decay_mask,
) -> optax.GradientTransformationExtraArgs:
    """AdamW, its momentum replaced by an average that is as good at any step as a decayed run.

    z ← z − η·(g/(√v̂ + ε) + λ·y), x ← (1 − c)·x + c·z, y = (1 − β₁)·z + β₁·x, with g taken at y,
    which is what is trained, and c the share of η² in its sum so far. Evaluate at x:
    `evaluation_params`. Prefer it where the length of the run is not known beforehand.

    Args:
        learning_rate: η, a positive number or a schedule that warms up and then stays, e.g.
            `warmup_stable_decay` with end = peak; up to ten times AdamW's.
        b1: β₁ in (0, 1).
        b2: β₂ in [0, 1).
        eps: ε, positive.
        weight_decay: λ, not negative.
        mask: a tree of bools, or a function from parameters to one; None decays everything.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> import jax.numpy as jnp
        >>> rule, w = schedule_free(0.1), jnp.float32(1.0)
        >>> update, _ = rule.update(jnp.float32(5.0), rule.init(w), w)
        >>> round(float(update), 4)  # c = 1 at first: x = y = z
        -0.1

    Reference:
        A. Defazio et al., "The Road Less Scheduled", 2024.
    """
    check_positive(learning_rate=learning_rate, eps=eps)
    check_unit(b1=b1, b2=b2)
    check_not_negative(weight_decay=weight_decay)
    if is_known(b1) and b1 == 0:
        raise ValueError("b1 must be above 0: x is read back from y and z by dividing by it, got 0")
    without_momentum = optax.chain(
        optax.scale_by_rms(decay=b2, eps=eps, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(weight_decay, mask),
        optax.scale_by_learning_rate(learning_rate),
    )
    return optax_schedule_free(without_momentum, learning_rate, b1=b1)
