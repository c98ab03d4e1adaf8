"""Penalties on the weights, to be added to the objective: L1, L2 and both, chosen by path.

Each makes a function from parameters to a scalar in nats. Prefer decoupled weight decay
(`adamw`) to L2 with an adaptive optimizer, which would divide the penalty's gradient by its own
size; prefer L1 when weights should become small enough to cut away.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from xentjax.optim.masks import decay_mask
from xentjax.optim.ranges import Scalar, check_not_negative, is_known

Penalty: TypeAlias = Callable[[PyTree], Float[Array, ""]]
Rule: TypeAlias = Callable[[PyTree], PyTree]


def l1(strength: Scalar, *, rule: Rule = decay_mask) -> Penalty:
    """The sum of the weights' sizes: R(θ) = λ·Σ|θᵢ|, with gradient λ·sign(θᵢ), 0 at 0.

    A gradient step does not stop at 0 but crosses it: weights become small, not exactly 0.

    Args:
        strength: λ in nats, not negative.
        rule: from parameters to a tree of bools, True for those that are penalized.

    Returns:
        Parameters → the penalty in nats, at least float32.

    Raises:
        ValueError: if strength is negative or not finite.

    Example:
        >>> float(l1(0.5)({"kernel": jnp.array([[3.0, -4.0]]), "bias": jnp.ones(2)}))
        3.5

    Reference:
        R. Tibshirani, "Regression Shrinkage and Selection via the Lasso", 1996.
    """
    return elastic_net(strength, l1_share=1.0, rule=rule)


def l2(strength: Scalar, *, rule: Rule = decay_mask) -> Penalty:
    """Half the sum of the squared weights: R(θ) = ½λ·Σθᵢ², with gradient λ·θᵢ.

    With plain `sgd` it is the same as weight decay λ.

    Args:
        strength: λ in nats, not negative.
        rule: from parameters to a tree of bools, True for those that are penalized.

    Returns:
        Parameters → the penalty in nats, at least float32.

    Raises:
        ValueError: if strength is negative or not finite.

    Example:
        >>> float(l2(0.5)({"kernel": jnp.array([[3.0, -4.0]]), "bias": jnp.ones(2)}))
        6.25

    Reference:
        A. Hoerl and R. Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal
        Problems", 1970.
    """
    return elastic_net(strength, l1_share=0.0, rule=rule)


def elastic_net(strength: Scalar, *, l1_share: Scalar = 0.5, rule: Rule = decay_mask) -> Penalty:
    """L1 and L2 mixed: R(θ) = λ·Σ(ρ·|θᵢ| + (1 − ρ)·½θᵢ²).

    Prefer it to L1 where weights come in correlated groups, of which L1 keeps one at random.

    Args:
        strength: λ in nats, not negative.
        l1_share: ρ in [0, 1].
        rule: from parameters to a tree of bools, True for those that are penalized.

    Returns:
        Parameters → the penalty in nats, at least float32.

    Raises:
        ValueError: if strength is negative or not finite, or l1_share outside [0, 1].

    Example:
        >>> penalty = elastic_net(1.0, l1_share=0.5)
        >>> float(penalty({"kernel": jnp.array([[3.0, -4.0]])}))  # (7 + 12.5) / 2
        9.75

    Reference:
        H. Zou and T. Hastie, "Regularization and Variable Selection via the Elastic Net", 2005.
    """
    check_not_negative(strength=strength)
    if is_known(l1_share) and not 0 <= l1_share <= 1:
        raise ValueError(f"l1_share must be in [0, 1], got {l1_share}")

    def of(leaf: Array) -> Array:
        leaf = leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))
        # Not jnp.abs, whose gradient at 0 is 1: it would push away weights that are 0.
        size = leaf * jax.lax.stop_gradient(jnp.sign(leaf))
        return jnp.sum(l1_share * size + (1 - l1_share) / 2 * jnp.square(leaf))

    def penalty(params: PyTree) -> Float[Array, ""]:
        chosen = jax.tree.map(lambda leaf, yes: of(leaf) if yes else 0.0, params, rule(params))
        return strength * jnp.asarray(sum(jax.tree.leaves(chosen)), _float_of(chosen))

    return penalty


def _float_of(sums: PyTree) -> jnp.dtype:
    return jnp.result_type(jnp.float32, *jax.tree.leaves(sums))
