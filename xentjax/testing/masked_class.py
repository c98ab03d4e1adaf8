"""The clause about a class that is not allowed: one logit of −inf beside a label elsewhere."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.testing.point import Point, of_vector, push_forward
from xentjax.testing.subject import Subject
from xentjax.testing.violation import require


def masked_class(subject: Subject) -> str | None:
    """With one class of each example at −inf, not the label: all finite, no gradient there.

    Integer labels, shaped as the logits without their last axis, choose another class. An input
    shaped as the logits and nowhere negative is label mass: none is left on the class. One with
    negative entries is other logits: −inf there too.
    """
    if subject.event_dims == 0:
        return "an elementwise loss has no class axis"
    shape = subject.example.logits.shape
    for i, x in enumerate(subject.example.inputs):
        if x.shape not in (shape, shape[:-1]):
            return f"no rule says which class example_inputs[{i}] of shape {x.shape} leaves free"
    free = _free_class(subject.example)
    if free is None:
        return f"the labels leave no class free among {shape[-1]}"
    masked = _without(subject.example, free)
    with require("masked_class", masked) as demand:
        both = subject.pull_back_both_ways(masked, subject.cotangent())
        for how, (losses, gradients) in both.items():
            demand.finite(f"the losses, {how}", losses)
            demand.finite(f"the gradient, {how}", gradients)
            for position, g in zip(masked.argnums, gradients, strict=True):
                barred = np.isneginf(masked.inputs[position])
                demand.zero(f"the gradient on the masked class, {how}", np.asarray(g)[barred])
        inputs, v = masked.arrays(), subject.directions(1)[0]
        _, tangents = push_forward(subject.loss, masked.argnums, inputs, v)
        demand.finite("the jvp", tangents)
        hessian = jax.jit(_hessian(subject))(inputs, masked.vector())
        demand.finite("the Hessian", hessian)
    return None


def _hessian(subject: Subject) -> Any:
    def hessian(inputs: Any, x: Any) -> Any:
        losses = of_vector(subject.loss, subject.example.argnums, inputs)
        return jax.hessian(lambda z: jnp.sum(losses(z)))(x)

    return hessian


def _free_class(example: Point) -> np.ndarray | None:
    """For each example a class that no integer label names, the lightest; None if none is left."""
    shape = example.logits.shape
    labels = [
        x.astype(np.int64)
        for x in example.inputs
        if x.shape == shape[:-1] and np.issubdtype(x.dtype, np.integer)
    ]
    taken = np.zeros(shape, bool)
    for index in labels:
        taken |= np.arange(shape[-1]) == index[..., None]
    if taken.all(axis=-1).any() or shape[-1] < 2:
        return None
    mass = [
        x for i, x in enumerate(example.inputs) if i not in example.argnums and x.shape == shape
    ]
    load = sum((np.abs(x.astype(np.float64)) for x in mass), np.zeros(shape))
    return np.argmin(np.where(taken, np.inf, load), axis=-1)


def _without(example: Point, free: np.ndarray) -> Point:
    """The example with that class at −inf in logits and at 0 in label mass."""
    shape = example.logits.shape
    barred = np.arange(shape[-1]) == free[..., None]

    def strike(i: int, x: np.ndarray) -> np.ndarray:
        if x.shape != shape:
            return x
        if i in example.argnums or (x.dtype == np.float32 and (x < 0).any()):
            return np.where(barred, np.float32(-np.inf), x)
        return _without_mass(x, barred)

    inputs = tuple(strike(i, x) for i, x in enumerate(example.inputs))
    return replace(example, name="one class at −inf, not the label", inputs=inputs)


def _without_mass(mass: np.ndarray, barred: np.ndarray) -> np.ndarray:
    left = np.where(barred, np.zeros_like(mass), mass)
    if mass.dtype != np.float32:
        return left
    # Rows that summed to one (to float32's rounding) are distributions and stay so.
    whole = np.isclose(mass.sum(-1, keepdims=True), 1, atol=1e-5)
    return np.where(whole, left / left.sum(-1, keepdims=True), left).astype(np.float32)
