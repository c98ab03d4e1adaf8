"""Attack curves: the accuracy that is left when features may be changed by ε, and its pitfalls."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from xentjax.audit.attack_box import attack_slopes
from xentjax.audit.estimate import Estimate, bootstrap_mean, flipped, share, shares
from xentjax.audit.given import Given, finite_of
from xentjax.audit.probe import Labels, Predict, Rows, read_rows, require_finite, row_shaped


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

    def flipped(self, number: int) -> Estimate:
        """Of the rows right at the first ε, the share wrong at another, with its Wilson interval.

        Args:
            number: which ε.
        """
        return flipped(self.right, number)


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

    one_step_lead: Estimate
    null_lead: Estimate
    survivors: Estimate
    flat: Estimate

    @property
    def suspected(self) -> bool:
        """Whether an interval says so: the accuracy under attack is then an upper bound only.

        A lead must exceed 1 %: an attack of finitely many steps may miss a row.
        """
        leads = self.one_step_lead.low > 0.01 or self.null_lead.low > 0.01
        return leads or self.survivors.low > 0.1 or self.flat.low > 0.1


def attack_curve(
    predict: Predict,
    features: Rows,
    labels: Labels,
    epsilons: Given,
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
    sizes = finite_of(epsilons, "epsilons", "S")
    if sizes[0] < 0 or (np.diff(sizes) <= 0).any():
        raise ValueError(f"epsilons must rise from 0 or more, got {epsilons}")
    # A number stays a number: not every attack takes a size for each feature.
    unit = row_shaped(scale, x, "scale") if np.ndim(scale) else float(np.asarray(scale))
    answers = jax.jit(predict)
    right = []
    for size in sizes:
        changed = jnp.asarray(attack(predict, x, y, float(size) * unit))
        logits = require_finite(answers(changed), "logits under attack")
        right.append(logits.argmax(axis=1) == np.asarray(y))
    right = np.array(right)
    return AttackCurve(sizes, *shares(right.sum(axis=1), np.full(len(sizes), len(x))), right)


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

    def lead(curve):
        by_row = (many_steps.right.astype(np.float64) - curve.right).mean(axis=0)
        return bootstrap_mean(by_row, seed=seed)

    survivors, flat = (
        share(int(hits.sum()), len(x)) for hits in (many_steps.right[-1], _flat(predict, x, y))
    )
    return GradientMasking(lead(one_step), lead(null), survivors, flat)


def _flat(predict, x, labels) -> np.ndarray:
    slopes = np.asarray(jax.jit(attack_slopes, static_argnums=0)(predict, x, labels))
    return (slopes.reshape(len(slopes), -1) == 0).all(axis=1)
