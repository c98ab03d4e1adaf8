"""Attack curves: the accuracy that is left when features may be changed by ε, and its pitfalls."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from xentjax.audit.attack_box import attack_slopes
from xentjax.audit.probe import Labels, Predict, Rows, read_rows, require_finite, row_shaped
from xentjax.metrics.intervals import bootstrap_interval, wilson_interval


@dataclasses.dataclass(frozen=True)
class AttackCurve:
    """Accuracy by the size of the change.

    Attributes:
        epsilons: float64 [E].
        accuracy: float64 [E], share of rows that are right on their changed features.
        low: float64 [E], lower end of the 95 % Wilson interval.
        high: float64 [E], upper end.
        right: bool [E, n], row by row.
    """

    epsilons: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    right: np.ndarray

    def flipped(self, number: int) -> tuple[float, float, float]:
        """Of the rows right at the first ε, the share wrong at another, with its Wilson interval.

        Args:
            number: which ε.
        """
        held = self.right[0]
        lost = int((held & ~self.right[number]).sum())
        low, high = wilson_interval(lost, int(held.sum()))
        return lost / int(held.sum()) if held.any() else np.nan, float(low), float(high)


@dataclasses.dataclass(frozen=True)
class GradientMasking:
    """Signs that an attack by gradients fails for want of gradients and not for robustness.

    Attributes:
        one_step_lead: share of rows (mean over ε) that one step breaks and many do not, less the
            reverse, with its 95 % interval; about 0 or below for an honest model.
        null_lead: the same for random changes against many steps.
        survivors: share of rows still right at the largest ε, with its interval; about 0 where
            that ε spans the range of the features.
        flat: share of rows whose gradient is zero in every feature, with its interval.
    """

    one_step_lead: tuple[float, float, float]
    null_lead: tuple[float, float, float]
    survivors: tuple[float, float, float]
    flat: tuple[float, float, float]

    @property
    def suspected(self) -> bool:
        """Whether an interval says so: the accuracy under attack is then an upper bound only.

        A lead must exceed 1 %: an attack of finitely many steps may miss a row.
        """
        leads = self.one_step_lead[1] > 0.01 or self.null_lead[1] > 0.01
        return leads or self.survivors[1] > 0.1 or self.flat[1] > 0.1


def attack_curve(
    predict: Predict,
    features: Rows,
    labels: Labels,
    epsilons: Sequence[float] | np.ndarray,
    attack: Callable[[Any, Any, Any, Any], Any],
    *,
    scale: Num[ArrayLike, "..."] = 1.0,
) -> AttackCurve:
    """The accuracy under an attack, for several sizes of it.

    Use it with `fgsm`, `pgd`, `pgd_l2` and `random_signs`, their keys and ranges fixed by
    `functools.partial`. Begin with ε = 0, the accuracy without an attack.

    Args:
        predict: features [n, …] → logits [n, C], each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the true classes.
        epsilons: sizes of the change, rising, ≥ 0.
        attack: (predict, features, labels, ε) → changed features.
        scale: what ε is multiplied by: a number, or one row of ranges, so that ε is a share of
            each feature's range.

    Returns:
        `AttackCurve`.

    Raises:
        TypeError: features are not floating point.
        ValueError: epsilons do not rise from 0 or more, or as the attack's.

    Example:
        >>> from xentjax.audit.attacks import fgsm
        >>> x = jnp.array([[1.0, 0.0], [3.0, 0.0]])
        >>> found = attack_curve(lambda x: x, x, jnp.zeros(2, int), [0.0, 1.0, 2.0], fgsm)
        >>> found.accuracy.tolist()  # leads of 1 and 3 shrink by 2 ε
        [1.0, 0.5, 0.0]
    """
    x, y = read_rows(predict, features, labels)
    sizes = np.asarray(epsilons, np.float64)
    if sizes.ndim != 1 or sizes.size == 0 or sizes[0] < 0 or (np.diff(sizes) <= 0).any():
        raise ValueError(f"epsilons must rise from 0 or more, got {epsilons}")
    unit = row_shaped(scale, x, "scale")
    answers = jax.jit(predict)
    right = []
    for size in sizes:
        changed = jnp.asarray(attack(predict, x, y, float(size) * unit if np.ndim(scale) else size))
        logits = require_finite(answers(changed), "logits under attack")
        right.append(logits.argmax(axis=1) == np.asarray(y))
    right = np.array(right)
    low, high = wilson_interval(right.sum(axis=1), len(x))
    return AttackCurve(
        sizes, right.mean(axis=1), np.asarray(low, np.float64), np.asarray(high, np.float64), right
    )


def gradient_masking(
    predict: Predict,
    features: Rows,
    labels: Labels,
    *,
    one_step: AttackCurve,
    many_steps: AttackCurve,
    null: AttackCurve,
    seed: int = 0,
) -> GradientMasking:
    """Whether the gradients that an attack followed lead anywhere.

    A model that rounds its input, or is flat, looks robust to every attack by gradients. It is
    betrayed by being weaker to chance than to the attack. Prefer a look at this before any
    praise of robustness.

    Args:
        predict: features [n, …] → logits [n, C], each row by itself.
        features: [n, …], those of the curves.
        labels: integer [n].
        one_step: the curve of `fgsm`.
        many_steps: that of `pgd`, at the same ε.
        null: that of `random_signs`.
        seed: of the bootstrap.

    Returns:
        `GradientMasking`.

    Raises:
        ValueError: if the curves are not of the same ε and rows.

    Reference:
        A. Athalye, N. Carlini, D. Wagner, Obfuscated Gradients Give a False Sense of Security,
        2018.
    """
    x, y = read_rows(predict, features, labels)
    for name, curve in (("one_step", one_step), ("null", null)):
        if not np.array_equal(curve.epsilons, many_steps.epsilons) or curve.right.shape != (
            len(curve.epsilons),
            len(x),
        ):
            raise ValueError(f"{name} must have the epsilons and the rows of many_steps")
    key = jax.random.key(seed)

    def lead(curve):
        by_row = (many_steps.right.astype(np.float32) - curve.right).mean(axis=0)
        found = bootstrap_interval(key, jnp.mean, by_row)
        return float(found.estimate), float(found.low), float(found.high)

    return GradientMasking(
        lead(one_step), lead(null), _share(many_steps.right[-1]), _share(_flat(predict, x, y))
    )


def _share(hits: np.ndarray) -> tuple[float, float, float]:
    low, high = wilson_interval(int(hits.sum()), len(hits))
    return float(hits.mean()), float(low), float(high)


def _flat(predict, x, labels) -> np.ndarray:
    slopes = np.asarray(jax.jit(attack_slopes, static_argnums=0)(predict, x, labels))
    return (slopes.reshape(len(slopes), -1) == 0).all(axis=1)
