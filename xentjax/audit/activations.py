"""Activations: what each layer of a model reads and which gradients reach it.

A unit that is 0 for every row is dead, one at the end of its range is saturated; neither learns.
A gradient that shrinks or grows from layer to layer leaves the first ones still, or throws them.
Any flax.nnx model is listened to while it runs: at each layer with a weight of two axes or more,
what it reads is the activations of those before it, and what it writes carries a gradient.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xentjax.audit.estimate import Estimate
from xentjax.audit.given import Given, labels_of, rows_of
from xentjax.audit.layer_taps import Taps, tapped
from xentjax.audit.probe import require_finite
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.metrics.intervals import bootstrap_interval

_EDGE = 0.01  # of the range of an activation, from its ends


@dataclasses.dataclass(frozen=True)
class Layer:
    """One call of one layer, over all rows.

    Attributes:
        name: where it is in the model, such as "layers.0".
        reads_mean: mean of what it reads: the features, or activations of the layers before.
        reads_std: standard deviation of the same.
        dead: share of the units it reads that are 0 for every row; None for the first layer,
            which reads features.
        saturated: share of what it reads that lies within 1 % of an end of the range; None for
            the first layer and where no range was given.
        gradient: root mean square over rows of ‖∂ loss / ∂ output‖₂.
        weight_gradient: ‖∂ mean loss / ∂ weights‖₂ of its own parameters.
        weight_size: ‖weights‖₂ of the same.
        gradient_by_row: float32 [n], ‖∂ loss / ∂ output‖₂.
    """

    name: str
    reads_mean: float
    reads_std: float
    dead: float | None
    saturated: float | None
    gradient: float
    weight_gradient: float
    weight_size: float
    gradient_by_row: np.ndarray = dataclasses.field(repr=False)


def layer_sizes(
    model: Any,
    features: Given,
    labels: Given,
    *,
    bounds: tuple[float, float] | None = None,
) -> tuple[Layer, ...]:
    """The size of activations and gradients at every layer, in evaluation mode.

    Prefer it before training, on a batch of real rows, to see that a deep model can learn at all,
    and after it to count what is dead. One forward and one backward pass of all rows at once.

    Args:
        model: a flax.nnx model of features [n, …] → logits [n, C]; not changed. Layers called
            inside a scan or a remat cannot be listened to.
        features: [n, …], some hundred rows.
        labels: [n], the true classes.
        bounds: the ends of the activation's range, (0, 1) for sigmoid and (−1, 1) for tanh; None
            where it has none.

    Returns:
        The layers in the order they are called.

    Raises:
        TypeError: model is no flax.nnx module, or labels are not integers.
        ValueError: no layer with a weight is called, a label is out of range, or a number is not
            finite.

    Example:
        >>> from xentjax.models import MLP, MLPConfig
        >>> model = MLP(MLPConfig(in_features=2, hidden_features=(4,)), rngs=nnx.Rngs(0))
        >>> model.layers[0].bias[...] -= 100.0  # no row of ones comes near
        >>> layers = layer_sizes(model, jnp.ones((3, 2)), jnp.zeros(3, int))
        >>> [(layer.name, layer.dead) for layer in layers]
        [('layers.0', None), ('head', 1.0)]

    Reference:
        X. Glorot, Y. Bengio, Understanding the Difficulty of Training Deep Feedforward Neural
        Networks, 2010.
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a flax.nnx module, got {type(model).__name__}")
    x = jnp.asarray(rows_of(features, "features"))
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    # A copy is asked, for a model in training mode writes down the statistics of its batch.
    classes = jax.eval_shape(lambda: nnx.merge(graphdef, params, rest, copy=True)(x)).shape[-1]
    y = jnp.asarray(labels_of(labels, rows=len(x), classes=classes), jnp.int32)
    run = partial(_loss, graphdef, rest, x, y)
    shapes: Taps = jax.eval_shape(run, params, None)[1]
    if not shapes.names:
        raise ValueError("model calls no layer with a weight of two axes or more")
    nudges = [jnp.zeros(shape.shape, shape.dtype) for shape in shapes.writes]
    passed = jax.jit(jax.value_and_grad(run, argnums=(0, 1), has_aux=True))
    (loss, taps), (of_params, of_outputs) = passed(params, nudges)
    require_finite(loss, "loss")
    sizes = _weight_norms(params, taps.paths), _weight_norms(of_params, taps.paths)
    return tuple(
        _layer(name, number, taps.reads[number], of_outputs[number], weights, bounds)
        for number, (name, *weights) in enumerate(zip(taps.names, *sizes, strict=True))
    )


def gradient_ratio(layers: Sequence[Layer], *, seed: int = 0) -> Estimate:
    r"""The gradient at the first layer over that at the last, with an interval.

        √(Σ_rows ‖∂ℓ/∂out₁‖² / Σ_rows ‖∂ℓ/∂out_L‖²)

    At a start that keeps sizes it is about 1 whatever the depth. Each sigmoid layer multiplies it
    by at most 1/4.

    Args:
        layers: of `layer_sizes`, at least two.
        seed: of the bootstrap.

    Returns:
        First / last with its bootstrap interval over rows; far below 1 the gradient vanishes on
        the way back, far above it explodes.

    Raises:
        ValueError: if there are fewer than two layers, or the last has no gradient at all.

    Example:
        >>> ends = [
        ...     Layer("", 0.0, 1.0, None, None, size, 0.0, 1.0, np.full(9, size, np.float32))
        ...     for size in (1.0, 4.0)
        ... ]
        >>> gradient_ratio(ends)  # 1 / 4 for every row
        Estimate(value=0.25, low=0.25, high=0.25)
    """
    if len(layers) < 2:
        raise ValueError(f"layers must be at least two to compare, got {len(layers)}")
    ends = [layers[0].gradient_by_row, layers[-1].gradient_by_row]
    if not ends[1].any():
        raise ValueError(
            f"layers: the gradient of the last one, {layers[-1].name!r}, is 0 for every row, "
            "nothing to compare with; take rows that the model is less sure of"
        )
    # Sums of squares of tiny gradients would underflow.
    units = [max(float(end.max()), 1e-38) for end in ends]
    scaled = [end / unit for end, unit in zip(ends, units, strict=True)]
    found = bootstrap_interval(jax.random.key(seed), _root_ratio, *scaled)
    unit = units[0] / units[1]
    return Estimate(*(float(v) * unit for v in (found.estimate, found.low, found.high)))


def _root_ratio(first, last):
    return jnp.sqrt((first**2).sum() / jnp.maximum((last**2).sum(), 1e-30))


def _loss(graphdef, rest, x, labels, params, nudges):
    """The sum of the losses, so that each row's gradients are its own, and the taps."""
    model = nnx.merge(graphdef, params, rest, copy=True)
    model.eval()
    logits, taps = tapped(model, x, nudges)
    losses = softmax_cross_entropy(logits.astype(jnp.float32), labels)
    return losses.sum(), taps


def _layer(name, number, reads, slopes, weights, bounds) -> Layer:
    read = require_finite(reads, f"what {name} reads").astype(np.float64)
    by_row = require_finite(slopes, f"gradient of what {name} writes")
    by_row = np.linalg.norm(by_row.reshape(len(by_row), -1).astype(np.float64), axis=1)
    inner = number > 0
    return Layer(
        name=name,
        reads_mean=float(read.mean()),
        reads_std=float(read.std()),
        dead=float((read == 0).reshape(-1, read.shape[-1]).all(axis=0).mean()) if inner else None,
        saturated=_saturated(read, bounds) if inner and bounds else None,
        gradient=float(np.sqrt((by_row**2).mean())),
        weight_size=weights[0],
        # The loss is a sum over rows; its mean does not grow with them.
        weight_gradient=weights[1] / len(by_row),
        gradient_by_row=by_row.astype(np.float32),
    )


def _saturated(read: np.ndarray, bounds: tuple[float, float]) -> float:
    edge = _EDGE * (bounds[1] - bounds[0])
    return float(((read <= bounds[0] + edge) | (read >= bounds[1] - edge)).mean())


def _weight_norms(params: Any, paths: Sequence[tuple[Any, ...]]) -> list[float]:
    """The length of each layer's own parameters, all together."""
    squares = dict.fromkeys(paths, 0.0)
    for path, leaf in nnx.to_flat_state(params):
        if path[:-1] in squares:
            squares[path[:-1]] += sum(
                float((np.asarray(part, np.float64) ** 2).sum()) for part in jax.tree.leaves(leaf)
            )
    return [squares[path] ** 0.5 for path in paths]
