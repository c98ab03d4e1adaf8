"""Optimizers by name: each an optax transformation with the usual mistakes closed.

A learning rate is a number, a traced scalar (in a sweep), or a schedule. Any other optax
transformation does where these do; nothing here is special.
"""

from collections.abc import Callable
from typing import Any

import optax

from xentjax.optim.adam import adam, adamw, lamb, nadamw
from xentjax.optim.adaptive import adafactor, adagrad, lion, rmsprop
from xentjax.optim.clipping import clipped
from xentjax.optim.descent import momentum, nesterov, sgd
from xentjax.optim.matrix import muon
from xentjax.optim.names import check_options, find, options_of
from xentjax.optim.parameter_free import dog, prodigy
from xentjax.optim.ranges import Scalar
from xentjax.optim.rates import LearningRate
from xentjax.optim.schedule_free import schedule_free
from xentjax.optim.second_order import lbfgs
from xentjax.optim.sharpness import sam

# They find their rate, and take a learning rate as a factor on it.
RATE_FREE = ("dog", "lbfgs", "prodigy")
_CLIPPING = ("clip_norm", "adaptive_clip")


def optimizer(
    name: str, learning_rate: LearningRate | None = None, **options: Any
) -> optax.GradientTransformation:
    """Makes an optimizer by name, so that a config can be plain text.

    Args:
        name: one of adafactor, adagrad, adam, adamw, dog, lamb, lbfgs, lion, momentum, muon,
            nadamw, nesterov, prodigy, rmsprop, sam, schedule_free
            and sgd.
        learning_rate: a positive number or a schedule; dog, lbfgs and prodigy do without.
        **options: the keyword arguments of that function, and for all of them `clip_norm` (the
            largest global norm of the gradient) and `adaptive_clip` (see `clipped`). For sam
            they are `radius`, `ascents`, `around` (the name of the rule inside, momentum if not
            given), and the options of that one.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if there is no optimizer of that name, or it wants a learning rate.
        TypeError: if it has no option of a name given.

    Example:
        >>> optimizer("adamw", 1e-3, clip_norm=1.0, weight_decay=0.1).init({}) is not None
        True
        >>> optimizer("adamm", 0.1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: name must be one of adafactor, ..., got 'adamm'; did you mean 'adam'?
    """
    make = find(name, _BY_NAME)
    if make is _sam_around:  # its other options are those of the rule inside
        return _sam_around(learning_rate, **options)
    own = options_of(make)
    check_options(name, options, [*own, *(option for option in _CLIPPING if option not in own)])
    if learning_rate is None and make not in _WITHOUT_RATE:
        raise ValueError(
            f"learning_rate must be given for {name}, got None; try prodigy or dog, which find it"
        )
    norm, adaptive = (options.pop(option, None) for option in _CLIPPING)
    rate = () if learning_rate is None else (learning_rate,)
    return clipped(make(*rate, **options), norm=norm, adaptive=adaptive)


def optimizer_options(name: str) -> tuple[str, ...]:
    """The options that `optimizer` takes for a name, besides the learning rate.

    Args:
        name: as for `optimizer`.

    Raises:
        ValueError: if there is no optimizer of that name.

    Example:
        >>> optimizer_options("sgd")
        ('momentum', 'nesterov', 'clip_norm', 'adaptive_clip')
    """
    own = options_of(find(name, _BY_NAME))
    return (*own, *(option for option in _CLIPPING if option not in own))


def _sam_around(
    learning_rate: LearningRate | None,
    *,
    radius: Scalar = 0.05,
    ascents: int = 1,
    around: str = "momentum",
    **options: Any,
) -> optax.GradientTransformation:
    return sam(optimizer(around, learning_rate, **options), radius=radius, ascents=ascents)


_WITHOUT_RATE = (dog, lbfgs, prodigy)
_BY_NAME: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adafactor": adafactor,
    "adagrad": adagrad,
    "adam": adam,
    "adamw": adamw,
    "dog": dog,
    "lamb": lamb,
    "lbfgs": lbfgs,
    "lion": lion,
    "momentum": momentum,
    "muon": muon,
    "nadamw": nadamw,
    "nesterov": nesterov,
    "prodigy": prodigy,
    "rmsprop": rmsprop,
    "sam": _sam_around,
    "schedule_free": schedule_free,
    "sgd": sgd,
}
