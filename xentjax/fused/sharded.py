"""Linear cross-entropy of global arrays over a mesh that the caller names."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.fused.layout import Layout
from xentjax.fused.linear_cross_entropy import checked_cross_entropy
from xentjax.fused.plan import Plan


def sharded_linear_cross_entropy(
    hidden: Num[ArrayLike, "..."],
    weight: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    mesh: Mesh | AbstractMesh,
    data_axes: str | Sequence[str] = (),
    vocab_axis_name: str | None = None,
    bias: Num[ArrayLike, "..."] | None = None,
    vocab_axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    class_weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    label_smoothing: Num[ArrayLike, ""] = 0.0,
    z_loss: Num[ArrayLike, ""] = 0.0,
    soft_cap: Num[ArrayLike, ""] | None = None,
    logit_scale: Num[ArrayLike, ""] = 1.0,
    reduction: str = "mean",
    tile: int | Plan | None = None,
) -> Float[Array, "..."]:
    r"""`linear_cross_entropy` of global arrays, computed where their parts lie on a mesh.

    The number is that of one device: means, smoothing and log-sum-exp are over all examples and
    the whole vocabulary. Inside your own `jax.shard_map` call `linear_cross_entropy` with
    `vocab_axis_name=`, reduction "sum", and add up over the data's axes.

    Args:
      hidden: floating [*batch, D]; the first axis is split over `data_axes`.
      weight: floating [D, V], or [V, D] with `vocab_axis=0`; split over `vocab_axis_name`.
      labels: integer class indices [*batch], in [0, V).
      mesh: a `jax.sharding.Mesh`.
      data_axes: mesh axes that share the examples; none keeps them whole on every device.
      vocab_axis_name: the mesh axis that shares the vocabulary; None keeps the head whole.
      bias: as in `linear_cross_entropy`, like all that follow.
      vocab_axis: the axis of `weight` that holds the vocabulary.
      where: boolean, broadcastable to [*batch].
      weights: real, broadcastable to [*batch].
      class_weights: real [V].
      ignore_index: labels equal to it are left out.
      label_smoothing: α in [0, 1], over the V classes of all devices.
      z_loss: ζ ≥ 0.
      soft_cap: cap > 0 or None.
      logit_scale: a finite number.
      reduction: "mean", "sum" or "none".
      tile: rows in a tile on one device, or a `plan(…)` for one device's share.

    Returns:
      Nats: a scalar, or [*batch] for "none". Sizes that the mesh does not divide are padded,
      which copies the head once if it is the vocabulary; no padding is ever counted.

    Raises:
      TypeError: as `linear_cross_entropy`.
      ValueError: as `linear_cross_entropy`; or an axis name is not in the mesh, or is used twice.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> mesh = jax.make_mesh((1,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
      >>> hidden, weight = jnp.array([[1.0, 0.0]]), jnp.log(jnp.array([[7.0, 3.0], [1.0, 1.0]]))
      >>> loss = sharded_linear_cross_entropy(
      ...     hidden, weight, jnp.array([0]), mesh=mesh, vocab_axis_name="model")
      >>> print(f"{loss:.4f}")  # −log 0.7
      0.3567

    Reference:
      M. Shoeybi et al., Megatron-LM: Training Multi-Billion Parameter Language Models Using
      Model Parallelism, 2019.

    See Also:
      `linear_cross_entropy`.
    """
    if not isinstance(mesh, Mesh | AbstractMesh):
        raise TypeError(f"mesh must be a jax.sharding.Mesh, got {type(mesh).__name__}")
    data_axes = _axis_names(mesh, data_axes, vocab_axis_name)
    batch_axes = max(jnp.ndim(hidden) - 1, 0)
    if data_axes and not batch_axes:
        raise ValueError(f"data_axes={data_axes} need examples to share: hidden is a single one")
    batch = (data_axes, *((),) * (batch_axes - 1)) if batch_axes else ()
    return checked_cross_entropy(
        hidden,
        weight,
        labels,
        bias=bias,
        vocab_axis=vocab_axis,
        where=where,
        weights=weights,
        class_weights=class_weights,
        ignore_index=ignore_index,
        options={
            "label_smoothing": label_smoothing,
            "z_loss": z_loss,
            "soft_cap": soft_cap,
            "logit_scale": logit_scale,
        },
        reduction=reduction,
        tile=tile,
        part_of=(None, None),
        layout=Layout(mesh, batch, vocab_axis_name),
    )


def _axis_names(
    mesh: Mesh | AbstractMesh, data_axes: Any, vocab_axis_name: str | None
) -> tuple[str, ...]:
    data_axes = (data_axes,) if isinstance(data_axes, str) else tuple(data_axes)
    names = [*data_axes, *([] if vocab_axis_name is None else [vocab_axis_name])]
    for name in names:
        if name not in mesh.axis_names:
            raise ValueError(f"{name!r} is no axis of the mesh, which has {mesh.axis_names}")
    if len(set(names)) < len(names):
        raise ValueError(
            f"a mesh axis can share the examples or the vocabulary, not both: got data_axes="
            f"{data_axes}, vocab_axis_name={vocab_axis_name!r}"
        )
    return data_axes
