"""Objectives: how a model's output and a batch become (total loss, weight, counts).

`(model, batch, key) → (total, weight, sums)` is all that a step asks for, so any function of that
form does. `supervised` makes one from a loss of (outputs, labels), `cross_entropy` the usual one,
which leaves the logits out where they would be large.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from xentjax.fused.linear_cross_entropy import linear_cross_entropy
from xentjax.losses.reduction import total_and_weight
from xentjax.losses.softmax import softmax_cross_entropy

Batch: TypeAlias = Mapping[str, Any]
Objective: TypeAlias = Callable[[Any, Batch, Any], tuple[Any, Any, Mapping[str, Any]]]

# What a batch may hold beside the model's input.
_BESIDE_INPUTS = ("labels", "where", "weights")
# Logits of 64 MiB in float32, from which on holding them and their gradient costs more than the
# tiles that replace them.
_LARGE_LOGITS = 1 << 24


def supervised(loss: Callable[..., Any], *, inputs: str | Sequence[str] | None = None) -> Objective:
    """The objective of a loss of (outputs, labels).

    total = Σ mᵢ wᵢ loss(model(xᵢ), yᵢ), weight = Σ mᵢ wᵢ, with the mask m from `where` and the
    weights w from `weights` in the batch, both optional: one an example, [B], or one a loss.

    Args:
        loss: `loss(outputs, labels)`, one loss an example (or token), without a reduction; every
            loss of `xentjax.losses` is one.
        inputs: the name of the model's input in the batch; None where it is the only array beside
            `labels`, `where` and `weights`. Of several names the first is passed by position, the
            others by keyword: ("tokens", "lengths") is model(tokens, lengths=lengths).

    Returns:
        An objective. Its sums hold `correct` and `count` where the labels are integers and the
        outputs have one score a class.

    Raises:
        ValueError: when called: if the batch has no labels, the input is not clear, or the loss
            returned a single number for many examples.

    Example:
        >>> from xentjax import squared_error
        >>> batch = {"x": jnp.array([1.0, 2.0]), "labels": jnp.array([1.0, 5.0])}
        >>> total, weight, _ = supervised(squared_error)(lambda x: x, batch, None)
        >>> float(total), float(weight)  # 0 + 9
        (9.0, 2.0)
    """
    # A loss of this package reduces nothing unless asked; others ask by the same word.
    fixed = {"reduction": "none"} if _takes(loss, "reduction") else {}

    def objective(model: Any, batch: Batch, key: Any) -> tuple[Any, Any, dict[str, Any]]:
        del key
        _check_labels(batch)
        outputs, labels = _called(model, batch, inputs), batch["labels"]
        losses = loss(outputs, labels, **fixed)
        _check_per_example(losses, labels)
        where, weights = (_aligned(batch.get(name), losses) for name in ("where", "weights"))
        total, weight = total_and_weight(losses, where=where, weights=weights)
        if outputs.ndim != labels.ndim + 1 or not jnp.issubdtype(labels.dtype, jnp.integer):
            return total, weight, {}
        return total, weight, _hits(jnp.argmax(outputs, axis=-1), labels, where)

    return objective


def cross_entropy(
    *,
    inputs: str | Sequence[str] | None = None,
    fused: bool | None = None,
    ignore_index: int | None = None,
    class_weights: Any = None,
    linear_loss: Callable[..., Any] = linear_cross_entropy,
    **options: Any,
) -> Objective:
    """Softmax cross-entropy on integer labels, fused with the model's head where that pays.

    A model with `hidden(x)` and `head_weight` has its logits left out (`linear_cross_entropy`) once
    they would take 64 MiB; below that the dense loss is as fast and also counts the hits.

    Args:
        inputs: the name of the model's input in the batch, or several, as for `supervised`.
        fused: True or False decides for itself.
        ignore_index: labels equal to it are left out, such as −100 in padded text.
        class_weights: `[C]`, multiplies each example by the weight of its label, in the loss and
            in the denominator of the mean.
        linear_loss: the fused loss; on a mesh `functools.partial(sharded_linear_cross_entropy,
            mesh=…, data_axes=…, vocab_axis_name=…)`.
        **options: of the loss: label_smoothing, z_loss, and with fused=True soft_cap, logit_scale.

    Returns:
        An objective; `where` and `weights` in the batch mask and weigh examples or tokens.

    Raises:
        ValueError: when called: if fused=True and the model has no `hidden` and `head_weight`.

    Example:
        >>> batch = {"x": jnp.zeros((2, 4)), "labels": jnp.array([0, -100])}
        >>> total, weight, _ = cross_entropy(ignore_index=-100)(lambda x: x, batch, None)
        >>> round(float(total), 4), float(weight)  # log 4, once
        (1.3863, 1.0)
    """
    dense = supervised(functools.partial(softmax_cross_entropy, **options), inputs=inputs)
    head = functools.partial(_from_head, functools.partial(linear_loss, **options), inputs)

    def objective(model: Any, batch: Batch, key: Any) -> tuple[Any, Any, Mapping[str, Any]]:
        batch = _kept(batch, ignore_index, class_weights)
        able = hasattr(model, "hidden") and hasattr(model, "head_weight")
        if fused and not able:
            raise ValueError(
                f"fused=True wants a model with hidden(x) and head_weight, got {type(model)}; "
                "give it both, or leave fused out"
            )
        indices = jnp.issubdtype(batch["labels"].dtype, jnp.integer)
        large = (
            able and indices and batch["labels"].size * model.head_weight.shape[1] >= _LARGE_LOGITS
        )
        return (head if (large if fused is None else fused) else dense)(model, batch, key)

    return objective


def _from_head(
    linear_loss: Callable[..., Any], inputs: Any, model: Any, batch: Batch, key: Any
) -> tuple[Any, Any, dict[str, Any]]:
    del key
    labels = batch["labels"]
    where, weights = (_aligned(batch.get(name), labels) for name in ("where", "weights"))
    total = linear_loss(
        _called(model.hidden, batch, inputs),
        model.head_weight,
        labels,
        bias=_head_bias(model),
        where=where,
        weights=weights,
        reduction="sum",
    )
    _, weight = total_and_weight(jnp.ones(labels.shape, total.dtype), where=where, weights=weights)
    return total, weight, {}


def _head_bias(model: Any) -> Any:
    bias = getattr(getattr(model, "head", None), "bias", None)
    return None if bias is None else bias[...]


def _kept(batch: Batch, ignore_index: int | None, class_weights: Any) -> Batch:
    """The batch with ignored labels masked and class weights among its weights."""
    _check_labels(batch)
    labels, batch = batch["labels"], dict(batch)
    if ignore_index is not None:
        keep = labels != ignore_index
        batch["where"] = keep & _aligned(batch["where"], keep) if "where" in batch else keep
        # Any class does for what is masked; the label itself would be refused.
        batch["labels"] = labels = jnp.where(keep, labels, 0)
    if class_weights is not None:
        # A label outside the classes weighs NaN, as it does in the loss.
        weighs = (
            jnp.asarray(class_weights)
            .at[labels]
            .get(mode="fill", fill_value=np.nan, wrap_negative_indices=False)
        )
        batch["weights"] = (
            weighs * _aligned(batch["weights"], weighs) if "weights" in batch else weighs
        )
    return batch


def _called(function: Callable[..., Any], batch: Batch, inputs: Any) -> Any:
    """The model, or its `hidden`, applied to the inputs of the batch."""
    candidates = [name for name in batch if name not in _BESIDE_INPUTS]
    names = [inputs] if isinstance(inputs, str) else list(inputs or candidates)
    if not names or set(names) - set(batch) or (inputs is None and len(names) > 1):
        raise ValueError(
            f"batch holds {sorted(batch)}, and the model's input is "
            f"{'not clear' if inputs is None else f'to be {inputs!r}'}; name it with inputs=…"
        )
    return function(batch[names[0]], **{name: batch[name] for name in names[1:]})


def _aligned(scale: Any, losses: Any) -> Any:
    """A mask or weights of whole examples, [B], made to fit several losses an example, [B, T]."""
    if scale is None or scale.ndim >= losses.ndim or scale.shape != losses.shape[: scale.ndim]:
        return scale
    return scale.reshape(*scale.shape, *(1,) * (losses.ndim - scale.ndim))


def _check_labels(batch: Batch) -> None:
    if "labels" not in batch:
        raise ValueError(f"batch must hold 'labels', got {sorted(batch)}")


def _check_per_example(losses: Any, labels: Any) -> None:
    if losses.ndim == 0 and labels.size > 1:
        raise ValueError(
            f"loss must return one loss an example, got a single number for labels of shape "
            f'{labels.shape}; leave its mean or sum out (reduction="none")'
        )


def _hits(predicted: Any, labels: Any, where: Any) -> dict[str, Any]:
    kept = jnp.broadcast_to(True if where is None else where, labels.shape)
    return {"correct": jnp.sum((predicted == labels) & kept), "count": jnp.sum(kept)}


def _takes(function: Callable[..., Any], argument: str) -> bool:
    try:
        return argument in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
