"""Attacks: small changes of the features that turn a right answer into a wrong one.

`fgsm` takes one step, `pgd` and `pgd_l2` many; `random_signs` of the same size are their null.
All stay within ε of the row and within the range of the features.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from xentjax.audit.attack_ball import CUBE, SPHERE
from xentjax.audit.attack_box import (
    Bound,
    attack_slopes,
    clipped,
    excess,
    further,
    read_box,
)
from xentjax.audit.given import rows_of
from xentjax.audit.probe import Labels, Predict, Rows, require_finite


def fgsm(
    predict: Predict,
    features: Rows,
    labels: Labels,
    epsilon: Bound,
    *,
    low: Bound = -np.inf,
    high: Bound = np.inf,
) -> Float[np.ndarray, "rows ..."]:
    r"""The fast gradient sign method: every feature one step of ε the way that hurts.

        x' = clip(x + ε · sign ∂(−log p_y)/∂x, low, high)

    For a linear model of two classes there is no worse change of this size. Prefer `pgd` for a
    judgement; this is what one backward pass can do.

    Args:
        predict: features [n, …] → logits [n, C], differentiable, each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the true classes.
        epsilon: ≥ 0, in units of the features: a number, one row (a size for each feature), or
            a row for each row.
        low: smallest value a feature may take; a number or one row.
        high: largest.

    Returns:
        float32, the shape of `features`: the changed rows.

    Raises:
        TypeError: features are not floating point.
        ValueError: shapes do not fit, a label is out of range, epsilon is negative, or the model
            gives NaN.

    Example:
        >>> w = jnp.array([[1.0, 0.0], [-2.0, 0.0]])
        >>> x, y = jnp.array([[1.0, 0.0]]), jnp.array([0])
        >>> fgsm(lambda x: x @ w, x, y, 0.5).tolist()  # down where w > 0, up where w < 0
        [[0.5, 0.5]]

    Reference:
        I. Goodfellow, J. Shlens, C. Szegedy, Explaining and Harnessing Adversarial Examples, 2015.
    """
    box, y = read_box(predict, features, labels, epsilon, low, high)
    return require_finite(_fgsm(predict, box, y), "changed features")


def pgd(
    predict: Predict,
    features: Rows,
    labels: Labels,
    epsilon: Bound,
    *,
    key: Shaped[Array, "..."],
    steps: int = 20,
    step_share: float = 0.15,
    low: Bound = -np.inf,
    high: Bound = np.inf,
) -> Float[np.ndarray, "rows ..."]:
    r"""Projected gradient descent in the L∞ ball: many small steps of `fgsm` from a random start.

        x ← clip(x + α · sign ∂(−log p_y)/∂x, x₀ − ε, x₀ + ε),   α = step_share · ε

    Of all points visited, the unchanged row among them, each row keeps the one that is furthest
    on the wrong side. Prefer it to `fgsm` always; what it cannot break may still be broken.

    Args:
        predict: features [n, …] → logits [n, C], differentiable, each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the true classes.
        epsilon: ≥ 0, as for `fgsm`.
        key: of the random start.
        steps: forward and backward passes, at least 1.
        step_share: size of a step, as a fraction of ε, above 0; steps · step_share below 2 cannot
            cross the ball.
        low: smallest value a feature may take; a number or one row.
        high: largest.

    Returns:
        float32, the shape of `features`: the changed rows.

    Raises:
        TypeError: features are not floating point.
        ValueError: as for `fgsm`, or steps or step_share is out of range.

    Example:
        >>> w = jnp.array([[1.0, 0.0], [-2.0, 0.0]])
        >>> x, y = jnp.array([[1.0, 0.0]]), jnp.array([0])
        >>> pgd(lambda x: x @ w, x, y, 0.5, key=jax.random.key(0)).tolist()  # the same corner
        [[0.5, 0.5]]

    Reference:
        A. Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, 2018.
    """
    _check_steps(steps, step_share)
    box, y = read_box(predict, features, labels, epsilon, low, high)
    return _known(*_climbed(predict, box, y, key, step_share, ball=CUBE, steps=steps))


def pgd_l2(
    predict: Predict,
    features: Rows,
    labels: Labels,
    epsilon: Bound,
    *,
    key: Shaped[Array, "..."],
    steps: int = 20,
    step_share: float = 0.25,
    low: Bound = -np.inf,
    high: Bound = np.inf,
) -> Float[np.ndarray, "rows ..."]:
    r"""Projected gradient descent in the Euclidean ball: ‖x' − x‖₂ ≤ ε.

        x ← project(x + α g / ‖g‖₂),   g = ∂(−log p_y)/∂x,   α = step_share · ε

    Prefer it where a change may sit in few features and be large there. Its ε is larger than that
    of `pgd` by up to √(number of features) for the same reach.

    Args:
        predict: features [n, …] → logits [n, C], differentiable, each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the true classes.
        epsilon: ≥ 0, the radius in units of the features: a number, or [n].
        key: of the random start.
        steps: forward and backward passes, at least 1.
        step_share: size of a step, as a fraction of ε, above 0.
        low: smallest value a feature may take; a number or one row.
        high: largest.

    Returns:
        float32, the shape of `features`: the changed rows.

    Raises:
        TypeError: features are not floating point.
        ValueError: as for `pgd`, or epsilon is no number a row.

    Example:
        >>> w = jnp.array([[3.0, 0.0], [-4.0, 0.0]])
        >>> x, y = jnp.array([[0.0, 0.0]]), jnp.array([0])
        >>> moved = pgd_l2(lambda x: x @ w, x, y, 1.0, key=jax.random.key(0), steps=50)
        >>> [f"{value:.3f}" for value in moved[0]]  # against w = (3, −4), whose length is 5
        ['-0.600', '0.800']

    Reference:
        A. Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, 2018.
    """
    _check_steps(steps, step_share)
    rows = rows_of(features, "features")
    if np.shape(epsilon) not in ((), (len(rows),)):
        raise ValueError(f"epsilon must be a number or one a row, got shape {np.shape(epsilon)}")
    radius = jnp.broadcast_to(jnp.asarray(epsilon, jnp.float32), (len(rows),))
    wide = np.asarray(radius).reshape(-1, *(1,) * (rows.ndim - 1))
    box, y = read_box(predict, features, labels, np.broadcast_to(wide, rows.shape), low, high)
    return _known(*_climbed(predict, box, y, key, step_share, ball=SPHERE, steps=steps))


def random_signs(
    predict: Predict,
    features: Rows,
    labels: Labels,
    epsilon: Bound,
    *,
    key: Shaped[Array, "..."],
    draws: int = 1,
    low: Bound = -np.inf,
    high: Bound = np.inf,
) -> Float[np.ndarray, "rows ..."]:
    """The null of `fgsm` and `pgd`: every feature ε up or down by the toss of a coin.

    Prefer many draws for a fair null of `pgd`: the worst of as many points as it visits.

    Args:
        predict: features [n, …] → logits [n, C].
        features: [n, …], floating point.
        labels: integer [n], the true classes.
        epsilon: ≥ 0, as for `fgsm`.
        key: of the coins.
        draws: of which each row keeps the one furthest on the wrong side, at least 1.
        low: smallest value a feature may take; a number or one row.
        high: largest.

    Returns:
        float32, the shape of `features`: the changed rows.

    Raises:
        TypeError: features are not floating point.
        ValueError: as for `fgsm`, or draws is below 1.

    Example:
        >>> x, y = jnp.array([[0.0, 0.0]]), jnp.array([0])
        >>> moved = random_signs(lambda x: x, x, y, 0.5, key=jax.random.key(0))
        >>> np.abs(moved).tolist()
        [[0.5, 0.5]]
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    box, y = read_box(predict, features, labels, epsilon, low, high)
    return _known(*_random_signs(predict, box, y, jax.random.split(key, draws)))


def _check_steps(steps, step_share):
    if steps < 1 or not step_share > 0:
        raise ValueError(
            f"steps must be at least 1 and step_share above 0, got {steps} and {step_share}"
        )


@partial(jax.jit, static_argnames="predict")
def _fgsm(predict, box, labels):
    return clipped(box.rows + box.epsilon * jnp.sign(attack_slopes(predict, box.rows, labels)), box)


@partial(jax.jit, static_argnames=("predict", "ball", "steps"))
def _climbed(predict, box, labels, key, step_share, *, ball, steps):
    """The point furthest on the wrong side of all that are visited, and its lead."""

    def advance(carry, _):
        x, best, lead = carry
        way = ball.steepest(attack_slopes(predict, x, labels))
        x = ball.nearest(x + step_share * box.epsilon * way, box)
        return (x, *further(predict, labels, x, best, lead)), None

    start = ball.nearest(box.rows + box.epsilon * ball.draw(key, box.rows.shape), box)
    first = further(predict, labels, start, box.rows, excess(predict, box.rows, labels))
    (_, best, lead), _ = jax.lax.scan(advance, (start, *first), None, length=steps)
    return best, lead


def _known(best, lead) -> np.ndarray:
    """The points, unless a model that gives NaN only looks as if it could not be attacked."""
    require_finite(lead, "leads of the wrong classes")
    return np.asarray(best)


@partial(jax.jit, static_argnames="predict")
def _random_signs(predict, box, labels, keys):
    def draw(carry, key):
        x = clipped(box.rows + box.epsilon * jax.random.rademacher(key, box.rows.shape), box)
        return further(predict, labels, x, *carry), None

    # Not the row itself: one draw is noise and not the better of noise and none.
    nothing = (box.rows, jnp.full(len(box.rows), -jnp.inf))
    return jax.lax.scan(draw, nothing, keys)[0]
