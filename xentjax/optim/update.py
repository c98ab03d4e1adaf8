"""One way to call any optax transformation, whatever its update wants besides the gradients.

Optax's update functions differ: a line search wants the loss, its gradient and the loss as a
function, Polyak's step and `reduce_on_plateau` the loss, `sam` a gradient function, `sophia` an
objective; and some refuse what they do not know. What one wants is found by tracing it once,
before training; then `update` passes exactly that. Use both in your own loop, in place of
`optimizer.update`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, PyTree

# The smallest first: the first set that is accepted is the one a transformation gets.
_SETS = (
    (),
    ("value",),
    ("grad_fn",),
    ("obj_fn",),
    ("value_fn",),
    ("grad",),
    ("value", "grad"),
    ("value", "grad_fn"),
    ("value", "obj_fn"),
    ("value", "value_fn"),
    ("value", "grad", "value_fn"),
    ("value", "grad", "value_fn", "grad_fn"),
    ("value", "grad", "value_fn", "obj_fn"),
    ("value", "grad", "value_fn", "grad_fn", "obj_fn"),
)


def extra_arguments(optimizer: optax.GradientTransformation, params: PyTree) -> frozenset[str]:
    """Which extra arguments an optimizer's update wants, found by tracing it; nothing is computed.

    Args:
        optimizer: any optax transformation.
        params: arrays, or their shapes and dtypes, as the optimizer will be initialized with.

    Returns:
        The smallest set that it accepts, of value, grad, value_fn, grad_fn and obj_fn.

    Raises:
        TypeError: if it accepts none of the sets tried; the message quotes what optax said.

    Example:
        >>> params = {"w": jnp.ones(3)}
        >>> extra_arguments(optax.adam(0.1), params)
        frozenset()
        >>> sorted(extra_arguments(optax.lbfgs(), params))
        ['grad', 'value', 'value_fn']
    """
    shapes = jax.eval_shape(lambda tree: tree, params)
    state = jax.eval_shape(optimizer.init, shapes)
    refusals = []
    for names in _SETS:
        try:
            jax.eval_shape(_attempt(optimizer, names), shapes, state, shapes)
        except (TypeError, ValueError) as refusal:
            refusals.append((names, refusal))
        else:
            return frozenset(names)
    said = "; ".join(
        f"with {', '.join(names) or 'none'}: {str(refusal).strip().splitlines()[0]}"
        for names, refusal in (refusals[0], refusals[-1])
    )
    raise TypeError(
        "optimizer.update accepts none of the extra arguments known here (value, grad, value_fn, "
        f"grad_fn, obj_fn). It said, {said}. Wrap it so that it takes one of these sets and "
        "ignores the others (**extra_args)"
    ) from refusals[0][1]


def update(
    optimizer: optax.GradientTransformation,
    wants: frozenset[str],
    grads: PyTree,
    opt_state: PyTree,
    params: PyTree,
    *,
    value: Float[ArrayLike, ""],
    value_fn: Callable[[PyTree], Float[Array, ""]],
    grad_fn: Callable[[PyTree, Any], PyTree],
) -> tuple[PyTree, PyTree]:
    """Call `optimizer.update` with exactly the extra arguments that it wants.

    Args:
        optimizer: any optax transformation.
        wants: what `extra_arguments` found for it.
        grads: the gradient at params.
        opt_state: its state.
        params: the parameters.
        value: the loss at params that grads are the gradient of, in nats.
        value_fn: params → that loss, on the same batch and with the same randomness: a line
            search, and `sophia` (obj_fn), compare it with value.
        grad_fn: (params, i) → the gradient there; i counts the calls of one update, and may be
            used to choose another batch.

    Returns:
        The updates to add to params, and the new state.

    Raises:
        ValueError: if wants has a name that is not known here.

    Example:
        >>> square, w = lambda w: w**2, jnp.float32(3.0)
        >>> rule = optax.polyak_sgd(max_learning_rate=1.0)
        >>> step, _ = update(
        ...     rule, extra_arguments(rule, w), jax.grad(square)(w), rule.init(w), w,
        ...     value=square(w), value_fn=square, grad_fn=lambda w, _: jax.grad(square)(w))
        >>> float(step)  # −f/‖∇f‖² · ∇f = −9/36 · 6
        -1.5
    """
    known = {
        "value": value,
        "grad": grads,
        "value_fn": value_fn,
        "grad_fn": grad_fn,
        "obj_fn": value_fn,
    }
    if unknown := sorted(wants - known.keys()):
        raise ValueError(f"wants must hold names among {', '.join(known)}, got {unknown}")
    extra = {name: known[name] for name in sorted(wants)}
    return optimizer.update(grads, opt_state, params, **extra)


def _attempt(
    optimizer: optax.GradientTransformation, names: tuple[str, ...]
) -> Callable[..., tuple[PyTree, PyTree]]:
    """An update with stand-ins, of the right shapes and dtypes, for the arguments named."""

    def attempt(grads: PyTree, opt_state: PyTree, params: PyTree) -> tuple[PyTree, PyTree]:
        dtype = jnp.result_type(jnp.float32, *jax.tree.leaves(params))

        def value_fn(tree: PyTree) -> Array:
            return sum((jnp.sum(leaf.astype(dtype)) for leaf in jax.tree.leaves(tree)), _zero)

        _zero = jnp.zeros((), dtype)
        stand_ins = {
            "value": _zero,
            "value_fn": value_fn,
            "grad_fn": lambda tree, _: jax.tree.map(jnp.zeros_like, tree),
        }
        wants = frozenset(names)
        return update(optimizer, wants, grads, opt_state, params, **stand_ins)

    return attempt
