"""From per-example losses to one number: the only place that knows none, sum and mean.

Every loss of this package ends here, so masks and weights mean the same thing everywhere:
`where` leaves examples out (their values, NaN included, can reach neither the result nor a
gradient), `weights` multiplies, and a mean divides by the weights that were counted.
"""

import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses.choice import require_one_of

_REDUCTIONS = ("none", "sum", "mean")


def reduce(
    losses: Num[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Masks, weighs and reduces per-example losses.

    With mask mᵢ and weights wᵢ: "none" gives mᵢ wᵢ lᵢ, "sum" gives Σ mᵢ wᵢ lᵢ, and "mean" gives
    Σ mᵢ wᵢ lᵢ / Σ mᵢ wᵢ, which is 0 with zero gradient when nothing is left to average.

    Args:
      losses: per-example losses in nats, any shape.
      where: boolean, broadcastable to `losses`; False leaves an example out, whatever it holds.
      weights: real, broadcastable to `losses`. A weight of zero does not hide a NaN; `where` does.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, at least float32: the shape of `losses` for "none", a scalar otherwise.

    Raises:
      TypeError: `where` is not boolean, or `losses` or `weights` are not real numbers.
      ValueError: a shape does not fit, or the reduction is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> losses = jnp.array([1.0, 2.0, 6.0])
      >>> print(reduce(losses, weights=jnp.array([1.0, 1.0, 2.0])))  # (1 + 2 + 12) / 4
      3.75
      >>> print(reduce(losses, where=jnp.array([True, True, False])))
      1.5

    See Also:
      `total_and_weight` for sums that stay right under accumulation and sharding.
    """
    return reduce_with_mass(losses, where=where, weights=weights, reduction=reduction)


def total_and_weight(
    losses: Num[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""The weighted sum of the losses and the sum of the weights that were counted.

    (Σ mᵢ wᵢ lᵢ, Σ mᵢ wᵢ). Add both over micro-batches or devices and divide once: the mean of
    the whole. A mean of means is another number as soon as the parts differ in weight.

    Args:
      losses: per-example losses in nats, any shape.
      where: boolean, broadcastable to `losses`; False leaves an example out.
      weights: real, broadcastable to `losses`.

    Returns:
      Total in nats and weight, two scalars, at least float32.

    Raises:
      TypeError: `where` is not boolean, or `losses` or `weights` are not real numbers.
      ValueError: a shape does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> total, weight = total_and_weight(
      ...     jnp.array([1.0, 2.0, 6.0]), where=jnp.array([True, True, False]))
      >>> print(total, weight)
      3.0 2.0

    See Also:
      `reduce`.
    """
    losses = at_least_float32(losses, "losses")
    keep, scale = example_mask(where, losses.shape), example_weights(weights, losses)
    kept, counted = _masked_and_weighted(losses, keep, scale)
    return jnp.sum(kept), _total_weight(kept, counted)


def reduce_with_mass(
    losses: Num[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    reduction: str,
    mass: Float[Array, "..."] | None = None,
) -> Float[Array, "..."]:
    """`reduce`, where each example also counts `mass` times in the mean's denominator.

    Class weights use it: they are already inside the losses, and a mean must divide by them.
    """
    check_reduction(reduction)
    losses = at_least_float32(losses, "losses")
    keep, scale = example_mask(where, losses.shape), example_weights(weights, losses)
    kept, _ = _masked_and_weighted(losses, keep, scale)
    if reduction == "none":
        return kept
    if reduction == "sum":
        return jnp.sum(kept)
    weight = _mean_weight(losses, keep, scale, mass)
    # Two selects: the unused branch must not divide by zero, or its gradient would be NaN.
    empty = weight == 0
    return jnp.where(empty, 0, jnp.sum(kept) / jnp.where(empty, 1, weight))


def example_shares(
    keep: Array | None, scale: Array | None, mass: Array | None, like: Array, reduction: str
) -> Array:
    """The factor of each example's loss in a sum or a mean, known before the losses are.

    Σᵢ shareᵢ · lᵢ is what `reduce_with_mass` returns. `like` has the shape and dtype wanted.
    """
    shares, _ = _masked_and_weighted(jnp.ones_like(like), keep, scale)
    if reduction == "sum":
        return shares
    weight = _mean_weight(like, keep, scale, mass)
    empty = weight == 0
    return jnp.where(empty, 0, shares / jnp.where(empty, 1, weight))


def times(share: Array, losses: Array) -> Array:
    """share · loss with 0 · inf = 0: an infinite loss that does not count."""
    return share * jnp.where((share == 0) & (losses == jnp.inf), 0, losses)


def check_reduction(reduction: str) -> None:
    """Raises ValueError unless the reduction is one of none, sum, mean."""
    require_one_of(reduction, _REDUCTIONS, "reduction")


def at_least_float32(x: ArrayLike, name: str) -> Array:
    """The array in its compute dtype: float64 stays, every other real float becomes float32."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"{name} must be floating point, got {x.dtype}; convert with {name}.astype(jnp.float32)"
        )
    return x.astype(jnp.float64 if x.dtype.itemsize == 8 else jnp.float32)


def real_array(x: ArrayLike, name: str) -> Array:
    """The array; TypeError when it is complex, whose imaginary part a cast would drop."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real, got {x.dtype}; pass {name}.real if that is meant")
    return x


def example_mask(where: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """`where` as a boolean array of one entry per example, or None when nothing is masked."""
    if where is None:
        return None
    where = jnp.asarray(where)
    if where.dtype != jnp.bool_:
        raise TypeError(
            f"where must be boolean, got {where.dtype}; write where=mask.astype(bool) to leave "
            "examples out, or weights=mask to weigh them"
        )
    return fit_to_examples(where, shape, "where")


def example_weights(weights: ArrayLike | None, losses: Array) -> Array | None:
    """`weights` in the dtype and shape of the losses, or None when all weigh one."""
    if weights is None:
        return None
    weights = real_array(weights, "weights")
    return fit_to_examples(weights.astype(losses.dtype), losses.shape, "weights")


def fit_to_examples(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """Broadcasts to one entry per example; refuses what would make the losses larger."""
    wanted = "the per-example losses (one entry per example, without the class axis)"
    return fit_to_shape(x, shape, name, wanted)


def fit_to_shape(x: Array, shape: tuple[int, ...], name: str, wanted: str) -> Array:
    """Broadcasts to a shape; ValueError when the array does not fit into it."""
    try:
        fits = jnp.broadcast_shapes(x.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} must be broadcastable to {wanted}: got shape {x.shape}, wanted {tuple(shape)}"
        )
    return jnp.broadcast_to(x, shape)


def _masked_and_weighted(
    losses: Array, keep: Array | None, scale: Array | None
) -> tuple[Array, Array | None]:
    # Both factors are masked before they meet: 0 · NaN is NaN, in the value and the gradient.
    if keep is not None:
        losses = jnp.where(keep, losses, 0)
        scale = jnp.where(keep, 1 if scale is None else scale, 0).astype(losses.dtype)
        return losses * scale, scale
    return (losses, None) if scale is None else (losses * scale, scale)


def _mean_weight(
    losses: Array, keep: Array | None, scale: Array | None, mass: Array | None
) -> Array:
    """What a mean divides by: the weights that were counted, each as often as its mass says."""
    if mass is not None:
        scale = mass if scale is None else scale * mass
    _, counted = _masked_and_weighted(losses, keep, scale)
    return _total_weight(losses, counted)


def _total_weight(losses: Array, counted: Array | None) -> Array:
    if counted is None:
        # The size is known without a sum, and exactly: float32 cannot count past 2²⁴.
        return jnp.asarray(losses.size, losses.dtype)
    return jnp.sum(counted)


def is_concrete(*arrays: object) -> bool:
    """Whether all values can be looked at now: an eager call, not a trace."""
    return not any(
        isinstance(x, Tracer) or not getattr(x, "is_fully_addressable", True) for x in arrays
    )
