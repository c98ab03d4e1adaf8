"""Optimizers as optax chains: optional clipping, then the rule, with the usual mistakes closed.

Prefer `adamw` for transformers, `adam` for small models, `sgd` with momentum when you can
afford to tune the learning rate. A learning rate is a number, a traced scalar (in a sweep), or
a schedule. Any other optax transformation does where these do; nothing here is special.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.core
import numpy as np
import optax
from jaxtyping import PyTree

from xentjax.optim.schedules import Schedule

Scalar = float | jax.Array  # an array so that a sweep may trace it
LearningRate = Scalar | Schedule

_UNDECAYED = ("bias", "norm", "scale", "embed")


def sgd(
    learning_rate: LearningRate,
    *,
    momentum: Scalar = 0.0,
    nesterov: bool = False,
    clip_norm: Scalar | None = None,
) -> optax.GradientTransformation:
    """Stochastic gradient descent, with momentum if asked for.

    m ← μ·m + g, θ ← θ − η·m; with Nesterov's form θ ← θ − η·(g + μ·m).

    Args:
        learning_rate: η, a positive number or a schedule.
        momentum: μ in [0, 1).
        nesterov: look ahead; wants momentum.
        clip_norm: the largest global norm of the gradient, None for no clipping.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range, or nesterov has no momentum.

    Example:
        >>> rule = sgd(0.1)
        >>> update, _ = rule.update({"w": 2.0}, rule.init({"w": 1.0}))
        >>> round(float(update["w"]), 6)
        -0.2

    Reference:
        I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization
        and momentum in deep learning", 2013.
    """
    _check_positive(learning_rate=learning_rate)
    _check_unit(momentum=momentum)
    if nesterov and _is_number(momentum) and momentum == 0:
        raise ValueError("nesterov=True wants a momentum above 0, got momentum=0.0; try 0.9")
    with_momentum = not _is_number(momentum) or momentum > 0
    rule = optax.sgd(learning_rate, momentum=momentum if with_momentum else None, nesterov=nesterov)
    return _clipped(rule, clip_norm)


def adam(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    clip_norm: Scalar | None = None,
) -> optax.GradientTransformation:
    """Adam: steps scaled by running moments of the gradient.

    m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ),
    θ ← θ − η·m̂/(√v̂ + ε).

    Args:
        learning_rate: η, a positive number or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε, positive.
        clip_norm: the largest global norm of the gradient, None for no clipping.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        The first step is η·sign(g), whatever the size of g.

        >>> rule = adam(0.1)
        >>> update, _ = rule.update({"w": 2.0}, rule.init({"w": 1.0}))
        >>> round(float(update["w"]), 4)
        -0.1

    Reference:
        D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """
    _check_positive(learning_rate=learning_rate, eps=eps)
    _check_unit(b1=b1, b2=b2)
    return _clipped(optax.adam(learning_rate, b1=b1, b2=b2, eps=eps), clip_norm)


def decay_mask(params: PyTree) -> PyTree:
    """Says which parameters weight decay may shrink: matrices that are not looked up.

    True for an array of two or more dimensions with no part of its path containing "bias",
    "norm", "scale" or "embed". Biases and norms set offsets and scales, which decay only
    distorts. A row of an embedding gets a gradient when its token occurs and would get decay at
    every step, so that rare tokens fade; a tied head, being the embedding, is left alone too.

    Args:
        params: arrays in any tree: dictionaries, nnx.State, dataclasses.

    Returns:
        A tree of bools of the same structure.

    Example:
        >>> params = {"kernel": np.ones((2, 2)), "bias": np.ones(2), "embedding": np.ones((2, 2))}
        >>> decay_mask(params)
        {'bias': False, 'embedding': False, 'kernel': True}
    """

    def decays(path: tuple[Any, ...], leaf: Any) -> bool:
        names = jax.tree_util.keystr(path).lower()
        return np.ndim(leaf) >= 2 and not any(word in names for word in _UNDECAYED)

    return jax.tree_util.tree_map_with_path(decays, params)


def adamw(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.01,
    mask: Callable[[PyTree], PyTree] | PyTree | None = decay_mask,
    clip_norm: Scalar | None = None,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, away from biases, norms and embeddings.

    θ ← θ − η·(m̂/(√v̂ + ε) + λ·θ), the last term where the mask is True; m̂ and v̂ as in `adam`.

    Args:
        learning_rate: η, a positive number or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1); 0.95 is usual for transformers.
        eps: ε, positive.
        weight_decay: λ, not negative.
        mask: a tree of bools, or a function from parameters to one; None decays everything.
        clip_norm: the largest global norm of the gradient, None for no clipping.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        A zero gradient leaves the decay alone: −0.1 · 0.5 · 2.

        >>> rule, params = adamw(0.1, weight_decay=0.5), {"kernel": np.full((1, 1), 2.0)}
        >>> zero = {"kernel": np.zeros((1, 1))}
        >>> update, _ = rule.update(zero, rule.init(params), params)
        >>> round(float(update["kernel"][0, 0]), 6)
        -0.1

    Reference:
        I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    _check_positive(learning_rate=learning_rate, eps=eps)
    _check_unit(b1=b1, b2=b2)
    if _is_number(weight_decay) and not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay must be finite and not negative, got {weight_decay}")
    rule = optax.adamw(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask)
    return _clipped(rule, clip_norm)


_BY_NAME: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": adam,
    "adamw": adamw,
    "sgd": sgd,
}


def optimizer(
    name: str, learning_rate: LearningRate, **options: Any
) -> optax.GradientTransformation:
    """Makes an optimizer by name, so that a config can be plain text.

    Args:
        name: adam, adamw or sgd.
        learning_rate: a positive number or a schedule.
        **options: the keyword arguments of that function.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if there is no optimizer of that name.
        TypeError: if it has no option of a name given.

    Example:
        >>> optimizer("sgdm", 0.1)
        Traceback (most recent call last):
        ValueError: name must be one of adam, adamw, sgd, got 'sgdm'; did you mean 'sgd'?
    """
    if name not in _BY_NAME:
        known = ", ".join(_BY_NAME)
        raise ValueError(
            f"name must be one of {known}, got {name!r}{_did_you_mean(name, _BY_NAME)}"
        )
    accepted = list(inspect.signature(_BY_NAME[name]).parameters)[1:]
    for option in options:
        if option not in accepted:
            raise TypeError(
                f"{name} takes {', '.join(accepted)}, got {option!r}"
                f"{_did_you_mean(option, accepted)}"
            )
    return _BY_NAME[name](learning_rate, **options)


def _clipped(
    rule: optax.GradientTransformation, clip_norm: Scalar | None
) -> optax.GradientTransformation:
    """The rule after g ← g · min(1, c/‖g‖), the norm taken over all parameters together."""
    if clip_norm is None:
        return rule
    _check_positive(clip_norm=clip_norm)
    return optax.chain(optax.clip_by_global_norm(clip_norm), rule)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _is_number(value: Any) -> bool:
    """Whether the value is known now: neither a schedule nor traced."""
    return not callable(value) and not isinstance(value, jax.core.Tracer)


def _check_positive(**values: Any) -> None:
    for name, value in values.items():
        if _is_number(value) and not 0 < value < math.inf:
            raise ValueError(f"{name} must be a positive finite number, got {value}")


def _check_unit(**values: Any) -> None:
    for name, value in values.items():
        if _is_number(value) and not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), got {value}")
