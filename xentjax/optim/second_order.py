"""Rules that learn the curvature: for smooth problems and full batches."""

import optax

from xentjax.optim.ranges import check_count, check_positive
from xentjax.optim.rates import LearningRate


def lbfgs(
    learning_rate: LearningRate | None = None, *, memory: int = 10, search_steps: int = 20
) -> optax.GradientTransformationExtraArgs:
    """L-BFGS: steps along −H·∇f, with H the inverse Hessian as the last few steps saw it.

    The length is found by a line search that keeps Wolfe's conditions (zoom, with interpolation).
    Prefer it for small, smooth problems with the whole data in one batch, such as the last layer
    on fixed features or a temperature: tens of steps, nothing to tune. Mini-batches mislead it.

    Args:
        learning_rate: None, and the search starts at the full step; else a positive number or a
            schedule that scales the direction first.
        memory: steps remembered, at least 1; each costs the memory of the weights twice.
        search_steps: the most evaluations of the loss and its gradient a step, at least 1; 0 for
            no search, when learning_rate is the length.

    Returns:
        The optax transformation; with a search its `update` wants value, grad and value_fn.

    Raises:
        ValueError: if a number is outside its range, or there is neither search nor rate.

    Example:
        (w − 3)²: the first step has length 1, the second knows the curvature.

        >>> import jax.numpy as jnp
        >>> rule, w = lbfgs(1.0, search_steps=0), jnp.float32(0.0)
        >>> state = rule.init(w)
        >>> for _ in range(2):
        ...     step, state = rule.update(2 * (w - 3.0), state, w)
        ...     w = w + step
        ...     print(round(float(w), 4))
        1.0
        3.0

    Reference:
        D. Liu and J. Nocedal, "On the Limited Memory BFGS Method for Large Scale Optimization",
        1989.
    """
    if learning_rate is not None:
        check_positive(learning_rate=learning_rate)
    check_count(1, memory=memory)
    check_count(0, search_steps=search_steps)
    if search_steps == 0:
        if learning_rate is None:
            raise ValueError(
                "learning_rate must be given where search_steps=0, got None; try 1.0, or a search"
            )
        return optax.lbfgs(learning_rate, memory_size=memory, linesearch=None)
    search = optax.scale_by_zoom_linesearch(
        max_linesearch_steps=search_steps, initial_guess_strategy="one"
    )
    return optax.lbfgs(learning_rate, memory_size=memory, linesearch=search)
