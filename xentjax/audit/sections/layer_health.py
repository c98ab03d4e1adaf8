"""What the layers add to the section on robustness: dead units, saturation, gradients by depth."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from xentjax.audit.activations import Layer, gradient_ratio, layer_sizes
from xentjax.audit.classifier import Classifier
from xentjax.audit.estimate import Estimate
from xentjax.audit.section import Grid, Measure, picture
from xentjax.audit.sections.bounds import below, between, judged
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent
from xentjax.plots.layers import draw_layers

# A layer with a hundredth of the gradient learns a hundred times slower under one learning rate.
_RATIO_WATCH, _RATIO_ACT = 1e-2, 1e-4
# Of the units of one layer: a fifth is capacity paid for and not used, most of them a shut layer.
_DEAD_WATCH, _DEAD_ACT = 0.2, 0.8
_BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def layer_part(subject: Classifier, model: Any, rows: int, seed: int) -> Part:
    """Activations and gradients by layer, on training rows."""
    if not isinstance(model, nnx.Module):
        return Part(
            unmeasured=[
                "Activations and gradients by layer: the model itself was not given. Pass model= "
                "(the trained flax.nnx model) to see dead units and vanishing gradients."
            ],
        )
    order = np.random.default_rng(seed).permutation(len(subject.train.labels))[:rows]
    bounds = _BOUNDS.get(getattr(getattr(model, "config", None), "activation", ""))
    try:
        layers = layer_sizes(
            model, subject.train.features[order], subject.train.labels[order], bounds=bounds
        )
    except (ValueError, jax.errors.JAXTypeError) as error:
        return Part(unmeasured=[f"Activations and gradients by layer: {error}"])
    measures, sentence = _dead_measure(layers), ""
    if len(layers) > 1 and layers[-1].gradient > 0:
        ratio = gradient_ratio(layers, seed=seed)
        measures = [*measures, _ratio_measure(ratio)]
        sentence = f"The gradient of the first layer is {ratio.value:.2g} times that of the last."
    drawn = picture(
        "Activations and gradients by layer",
        "Blue: spread of what each layer reads. Red: gradient of what it writes; a line that "
        "falls to the left is a gradient that vanishes on its way back. Below: dead units.",
        draw_layers,
        layers,
        "Activations and gradients by layer",
    )
    return Part(
        sentence, measures, grids=[_grid(layers)], pictures=[drawn], advice=_advice(measures)
    )


def _dead_measure(layers: Sequence[Layer]) -> list[Measure]:
    dead = [layer for layer in layers if layer.dead is not None]
    if not dead:
        return []
    worst = max(dead, key=lambda layer: layer.dead or 0.0)
    share = worst.dead or 0.0
    name = f"dead units before {worst.name} (the most of all layers)"
    return [judged(name, share, below(_DEAD_WATCH, act=_DEAD_ACT), unit="share")]


def _ratio_measure(ratio: Estimate) -> Measure:
    # Symmetric: growing a hundredfold is as bad as shrinking.
    act = (_RATIO_ACT, 1 / _RATIO_ACT)
    return judged(
        "gradient of the first layer over that of the last",
        ratio,
        between(_RATIO_WATCH, 1 / _RATIO_WATCH, act=act),
    )


def _advice(measures: Sequence[Measure]) -> list[str]:
    advice = []
    for measure in measures:
        if measure.verdict == "good":
            continue
        if "dead" in measure.name:
            advice.append(
                "Units that are 0 for every row learn nothing more: use a smaller learning rate, "
                "or gelu or silu in place of relu."
            )
        elif measure.value < 1:
            advice.append(
                "The first layers hardly learn: use residual connections, a norm, or relu-like "
                "activations in place of sigmoid."
            )
        else:
            advice.append(
                "Gradients grow on their way back: start with smaller weights, add a norm, or "
                "clip gradients."
            )
    return advice


def _grid(layers: Sequence[Layer]) -> Grid:
    lines = [
        [
            layer.name,
            f"{layer.reads_mean:.3g}",
            f"{layer.reads_std:.3g}",
            "" if layer.dead is None else percent(layer.dead),
            "" if layer.saturated is None else percent(layer.saturated),
            f"{layer.gradient:.2g}",
            f"{layer.weight_gradient:.2g}",
        ]
        for layer in layers
    ]
    return Grid(
        "Layers",
        ["layer", "reads: mean", "reads: std", "dead", "saturated", "gradient", "weight gradient"],
        lines,
        "In the order they are called. Dead units and saturation are of what the layer reads.",
    )
