"""Rules that find the learning rate themselves, from how far the weights have come.

Prefer them for a first run on a new problem, when there is no budget for a search. The learning
rate is then a factor: leave it at 1, or let it be a schedule from 1 to 0.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree
from optax.contrib import dog as optax_dog
from optax.contrib import prodigy as optax_prodigy

from xentjax.optim.adam import Mask
from xentjax.optim.masks import decay_mask
from xentjax.optim.ranges import Scalar, check_not_negative, check_positive, check_unit, is_known
from xentjax.optim.rates import LearningRate

_LEAST = 1e-6  # of a schedule whose scale is 1


def prodigy(
    learning_rate: LearningRate = 1.0,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    initial: Scalar = 1e-6,
) -> optax.GradientTransformation:
    """Adam whose rate is an estimate, never falling, of the distance to the solution.

    d ← max(d, Σ d²·⟨g, θ₀ − θ⟩ / ‖Σ d²·g‖₁), both sums weighted towards the latest steps; Adam
    with the gradients d·g and the rate η·d. Prefer it to `dog` where you would take Adam. For
    weight decay add `l2` to the objective: optax's own decays biases too.

    Args:
        learning_rate: η, a positive number or a schedule; 1 is usual.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε, positive.
        initial: d before the first step, positive, and below any sensible rate.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> rule = prodigy(initial=0.01)
        >>> w = jnp.float32(1.0)
        >>> update, _ = rule.update(jnp.float32(5.0), rule.init(w), w)
        >>> round(float(update), 4)  # Adam's first step at the rate d
        -0.01

    Reference:
        K. Mishchenko and A. Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner",
        2024.
    """
    check_positive(learning_rate=learning_rate, eps=eps, initial=initial)
    check_unit(b1=b1, b2=b2)
    rule = optax_prodigy(_above_zero(learning_rate), betas=(b1, b2), eps=eps, estim_lr0=initial)
    return _with_own_start(_waiting(rule))


def _above_zero(rate: LearningRate) -> LearningRate:
    """The schedule, never 0 as a warm-up is at first: the estimate would be 0/0, and stay it."""
    return (lambda step: jnp.maximum(rate(step), _LEAST)) if callable(rate) else rate


def dog(
    learning_rate: LearningRate = 1.0,
    *,
    initial: Scalar = 1e-6,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    mask: Mask = decay_mask,
) -> optax.GradientTransformation:
    """Gradient descent whose rate is distance over gradients.

    θ ← θ − η·r/√(Σ‖g‖² + ε)·g with r the largest ‖θₛ − θ₀‖ so far, at first r₀ = α·(1 + ‖θ₀‖).
    Evaluate an average of the weights: `ema(dog())`.

    Args:
        learning_rate: η, a positive number or a schedule; 1 is usual.
        initial: α, positive: 10⁻⁶, with batch norm 10⁻⁴.
        eps: ε, positive.
        weight_decay: λ, not negative: L2 here, g ← g + λ·θ.
        mask: a tree of bools, or a function from parameters to one; None decays everything.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> rule = dog(initial=0.01)
        >>> w = jnp.float32(1.0)
        >>> update, _ = rule.update(jnp.float32(5.0), rule.init(w), w)
        >>> round(float(update), 4)  # r₀ = 0.01·(1 + 1), times the sign of g
        -0.02

    Reference:
        M. Ivgi, O. Hinder and Y. Carmon, "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step
        Size Schedule", 2023.
    """
    check_positive(learning_rate=learning_rate, initial=initial, eps=eps)
    check_not_negative(weight_decay=weight_decay)
    decays = not is_known(weight_decay) or weight_decay > 0
    return _with_own_start(
        optax_dog(
            learning_rate,
            init_step=("heuristic", initial),
            eps=eps,
            weight_decay=weight_decay if decays else None,
            mask=mask,
        )
    )


def _waiting(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """Prodigy that stands still until the first gradient other than 0, where optax's has 0/0."""

    def update(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        new_updates, new_state = rule.update(updates, state, params)
        sizes = jax.tree.map(lambda leaf: jnp.max(jnp.abs(leaf)), updates)
        started = (state.count > 0) | (optax.tree.max(sizes) != 0)
        still = jax.tree.map(jnp.zeros_like, updates)
        return jax.tree.map(
            lambda new, old: jnp.where(started, new, old), (new_updates, new_state), (still, state)
        )

    return optax.GradientTransformation(rule.init, update)


def _with_own_start(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """The rule with a copy of the initial weights in its state, not the weights themselves.

    A train step donates parameters and state; one buffer in both would be donated twice.
    """

    def init(params: PyTree) -> PyTree:
        return rule.init(jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params))

    return rule._replace(init=init)
