"""Inputs on which optax and this package differ: what each gives, by calling both."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import xentjax

INF = jnp.inf


@dataclass(frozen=True)
class Situation:
    """One input; both sides are called when the table is made, and errors are results too."""

    loss: str
    input: str
    optax: Callable[[], Any]
    xentjax: Callable[[], Any]

    def measured(self) -> dict[str, str]:
        """The row of the table."""
        found = {name: _told(getattr(self, name)) for name in ("optax", "xentjax")}
        return {"loss": self.loss, "input": self.input, **found}


def _told(call: Callable[[], Any]) -> str:
    try:
        return _figure(call())
    except (TypeError, ValueError) as error:
        return type(error).__name__


def _figure(value: Any) -> str:
    x = np.asarray(value, np.float64)
    if x.ndim == 0:
        return f"{float(x):.4g}".replace("nan", "NaN")
    return "[" + ", ".join(_figure(each) for each in x) + "]"


def _slope(loss: Callable[..., Any], logits: Any, *rest: Any) -> jax.Array:
    return jax.grad(lambda x: jnp.sum(loss(x, *rest)))(jnp.asarray(logits))


def _both(name: str, case: str, theirs: Any, ours: Any, *inputs: Any, slope: bool = False) -> Any:
    arrays = tuple(jnp.asarray(x) for x in inputs)
    calls = [
        partial(_slope, loss, *arrays) if slope else partial(loss, *arrays)
        for loss in (theirs, ours)
    ]
    return Situation(name, case, *calls)


_CE, _INT = xentjax.softmax_cross_entropy, optax.losses.softmax_cross_entropy_with_integer_labels
_SOFT, _BCE = optax.losses.softmax_cross_entropy, optax.losses.sigmoid_binary_cross_entropy
_FOCAL = partial(xentjax.sigmoid_focal_loss, gamma=2.0)
_OPTAX_FOCAL = partial(optax.losses.sigmoid_focal_loss, gamma=2.0)
_KL = xentjax.kl_divergence
_DICE = partial(xentjax.dice_loss, smooth=0.0)
_LIST, _OPTAX_LIST = (
    xentjax.listwise_softmax_loss,
    partial(optax.losses.ranking_softmax_loss, reduce_fn=None),
)
_HINGE, _OPTAX_HINGE = xentjax.multiclass_hinge_loss, optax.losses.multiclass_hinge_loss
_POLY, _OPTAX_POLY = xentjax.poly_loss, optax.losses.poly_loss_cross_entropy


def _optax_kl(logits: Any, targets: Any) -> jax.Array:
    return optax.losses.kl_divergence(jax.nn.log_softmax(logits), targets)


def _optax_dice(logits: Any, labels: Any) -> jax.Array:
    return optax.losses.dice_loss(logits, labels, smooth=0.0, axis=(-3, -2))  # pyright: ignore[reportArgumentType]


def _sparsemax() -> list[Situation]:
    ours, name = xentjax.sparsemax_loss, "sparsemax"

    def theirs(logits: Any, label: Any) -> jax.Array:
        return optax.losses.multiclass_sparsemax_loss(logits[None], label[None])[0]

    return [
        _both(name, "1e7 + [1, 0, −1], label 1", theirs, ours, [1e7 + 1, 1e7, 1e7 - 1], 1),
        _both(
            "",
            "[1, 0.5, 0.2], label 3, under jit",
            jax.jit(theirs),
            jax.jit(ours),
            [1, 0.5, 0.2],
            3,
        ),
    ]


def _contrastive() -> list[Situation]:
    pairs = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    labels = np.array([0, 1, 0, 1])

    def ours(x: Any, labels: Any, temperature: float) -> jax.Array:
        return xentjax.supervised_contrastive(x, labels, temperature=temperature, reduction="mean")

    def theirs(x: Any, labels: Any, temperature: float) -> jax.Array:
        return optax.losses.ntxent(x, labels, temperature)

    name = "NT-Xent"
    return [
        _both(name, "no anchor has a positive", theirs, ours, pairs, np.arange(4), 1.0),
        _both("", "two pairs at right angles, τ = 1/20", theirs, ours, pairs, labels, 1 / 20),
        _both("", "embeddings times 1e30", theirs, ours, 1e30 * pairs, labels, 1.0),
    ]


def _ctc() -> list[Situation]:
    def ours(logits: Any, labels: Any) -> jax.Array:
        return xentjax.ctc_loss(logits, labels)[0]

    def theirs(logits: Any, labels: Any) -> jax.Array:
        paddings = [jnp.zeros(x.shape[:2]) for x in (logits, labels)]
        return optax.losses.ctc_loss(logits, paddings[0], labels, paddings[1])[0]

    sure = 18 * np.eye(3, dtype=np.float32)[[[1, 1, 0, 0]]]
    masked = np.where(np.arange(3) == 2, -np.inf, np.zeros((1, 2, 3), np.float32))
    zeros = np.zeros((1, 2, 3), np.float32)
    name = "CTC"
    return [
        _both(name, "2 frames for the labels [1, 1]: no alignment", theirs, ours, zeros, [[1, 1]]),
        _both("", "4 frames, sure of 1 1 – –, label 1", theirs, ours, sure, [[1]]),
        _both("", "another class at −inf", theirs, ours, masked, [[1]]),
        _both("", "label 5 of 3 classes", theirs, ours, zeros, [[5, 1]]),
    ]


SITUATIONS: tuple[Situation, ...] = (
    _both("softmax, integer labels", "[15, 0], label 0", _INT, _CE, [15.0, 0.0], 0),
    _both("", "its slope at [50, 0]", _INT, _CE, [50.0, 0.0], 0, slope=True),
    _both("", "1e7 + [0, 1, 2], label 1", _INT, _CE, [1e7, 1e7 + 1, 1e7 + 2], 1),
    _both("", "[0, 1, 2], label −1, under jit", jax.jit(_INT), jax.jit(_CE), [0.0, 1.0, 2.0], -1),
    _both(
        "softmax, distributions", "[1, 2, −inf], [0, 1, 0]", _SOFT, _CE, [1.0, 2, -INF], [0.0, 1, 0]
    ),
    _both("", "its slope", _SOFT, _CE, [1.0, 2.0, -INF], [0.0, 1.0, 0.0], slope=True),
    _both("", "[0, 0], [0.5, 0.5] as [1, 2] labels", _SOFT, _CE, [[0.0, 0.0]] * 2, [0.5, 0.5]),
    _both("sigmoid", "x = −inf, y = 0", _BCE, xentjax.sigmoid_cross_entropy, -INF, 0.0),
    _both(
        "",
        "x of [2, 1] with y of [2]",
        _BCE,
        xentjax.sigmoid_cross_entropy,
        [[1.0], [2.0]],
        [0.0, 1.0],
    ),
    _both("sigmoid focal", "x = inf, y = 1", _OPTAX_FOCAL, _FOCAL, INF, 1.0),
    _both(
        "poly", "slope at [17, 0], [1, 0]", _OPTAX_POLY, _POLY, [17.0, 0.0], [1.0, 0.0], slope=True
    ),
    _both("", "[1, 2, −inf], [0, 1, 0]", _OPTAX_POLY, _POLY, [1.0, 2.0, -INF], [0.0, 1.0, 0.0]),
    _both("KL", "[1, −inf], [1, 0]", _optax_kl, _KL, [1.0, -INF], [1.0, 0.0]),
    _both("multi-class hinge", "[1e8, 1e8], label 0", _OPTAX_HINGE, _HINGE, [1e8, 1e8], 0),
    _both("", "[0, −inf, 0.5], label 0", _OPTAX_HINGE, _HINGE, [0.0, -INF, 0.5], 0),
    _both("", "[0, 2], label −1", _OPTAX_HINGE, _HINGE, [0.0, 2.0], -1),
    _both(
        "listwise softmax",
        "[1, 2, −inf], [1, 0, 0]",
        _OPTAX_LIST,
        _LIST,
        [1.0, 2, -INF],
        [1.0, 0, 0],
    ),
    _both("", "slope at [20, 0], [1, 0]", _OPTAX_LIST, _LIST, [20.0, 0.0], [1.0, 0.0], slope=True),
    _both("", "[1, 2, 3], [1, 0, −1]", _OPTAX_LIST, _LIST, [1.0, 2.0, 3.0], [1.0, 0.0, -1.0]),
    *_sparsemax(),
    *_contrastive(),
    *_ctc(),
    _both(
        "Dice",
        "two pixels, each right by 20",
        _optax_dice,
        _DICE,
        [[[20.0, 0.0], [0.0, 20.0]]],
        [[[1.0, 0.0], [0.0, 1.0]]],
    ),
)
