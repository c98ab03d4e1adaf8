"""The curve of a learning-rate range test, and the rates that it suggests."""

import bisect
import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

# Fewer points than these show no shape.
_FEWEST = 5


@dataclasses.dataclass(frozen=True, eq=False)
class RateCurve:
    """Loss against learning rate, one step at each rate, rates rising by a constant factor.

    All three suggestions come from the smoothed losses, which lag behind by about
    smoothing / (1 − smoothing) steps; each is None where the curve does not show it, and `notes`
    say why.

    Attributes:
        rates: η of each step.
        losses: of each step's batch before its update, nats.
        smoothed: their exponential average, bias-corrected.
        stopped_at: the step after whose loss the test was given up, or None if it ended at high.
        notes: what to know before using a suggestion.

    Example:
        >>> falls = np.array([3.0, 2.9, 2.5, 1.5, 1.0, 1.2, 4.0])
        >>> curve = RateCurve(10.0 ** np.arange(-6, 1), falls, falls, stopped_at=6)
        >>> float(curve.steepest), float(curve.minimum_tenth)
        (0.001, 0.001)
        >>> float(curve.valley)  # midway down the fall from 1e-6 to 1e-2
        0.0001
    """

    rates: Float[np.ndarray, " steps"]
    losses: Float[np.ndarray, " steps"]
    smoothed: Float[np.ndarray, " steps"]
    stopped_at: int | None
    notes: tuple[str, ...] = ()

    @property
    def steepest(self) -> float | None:
        """The rate at which the loss falls fastest: argmin of d loss / d log η.

        Prefer it for a careful start; on a noisy curve it is the least certain of the three.
        """
        if not self._falls:
            return None
        # Rates rise by a constant factor, so differences by step are derivatives by log η. After
        # the minimum comes the divergence, whose jumps mean nothing.
        slopes = np.gradient(self.smoothed)[: self._lowest + 1]
        return float(self.rates[int(np.argmin(slopes))])

    @property
    def valley(self) -> float | None:
        """The rate midway (in log η) along the longest fall.

        The longest fall is the longest strictly decreasing subsequence of the smoothed losses; its
        middle is where training goes well and is not yet near divergence. The default of fastai,
        and the one to try first. A long flat beginning, where noise falls too, pulls it down: let
        the test begin not far below the fall.
        """
        if not self._falls:
            return None
        fall = longest_fall(self.smoothed)
        return float(self.rates[(fall[0] + fall[-1]) // 2])

    @property
    def minimum_tenth(self) -> float | None:
        """A tenth of the rate with the lowest loss: the oldest rule, which a safe margin makes."""
        return float(self.rates[self._lowest]) / 10 if self._falls else None

    @property
    def suggestions(self) -> dict[str, float | None]:
        """All three by name."""
        return {
            "steepest": self.steepest,
            "valley": self.valley,
            "minimum_tenth": self.minimum_tenth,
        }

    @property
    def _lowest(self) -> int:
        return int(np.argmin(self.smoothed))

    @property
    def _falls(self) -> bool:
        return len(self.rates) >= _FEWEST and self._lowest > 0


def make_rate_curve(
    rates: Float[np.ndarray, " steps"],
    losses: Float[np.ndarray, " steps"],
    *,
    smoothing: float,
    divergence: float,
) -> RateCurve:
    """Smooth the losses, cut the curve at its divergence and say what is missing in it.

    aₜ = β aₜ₋₁ + (1 − β) lossₜ, smoothedₜ = aₜ / (1 − βᵗ⁺¹). The curve ends with the first
    smoothed loss above divergence × the lowest so far, or before the first that is not finite.

    Args:
        rates: η of each step, rising.
        losses: of each step, nats.
        smoothing: β in [0, 1).
        divergence: factor above 1.

    Example:
        >>> losses = np.array([1.0, 0.5, 1.0, 9.0, 99.0])
        >>> curve = make_rate_curve(
        ...     10.0 ** np.arange(5), losses, smoothing=0.0, divergence=4.0
        ... )
        >>> curve.stopped_at, curve.losses.tolist()
        (3, [1.0, 0.5, 1.0, 9.0])
    """
    smoothed = smooth(losses, smoothing)
    bad = ~np.isfinite(smoothed)
    # A loss below 0 (a likelihood of densities) is no scale to multiply: its distance is taken.
    lowest = np.minimum.accumulate(np.where(bad, np.inf, smoothed))
    diverged = bad | (smoothed > lowest + (divergence - 1) * np.abs(lowest))
    stopped = int(np.argmax(diverged)) if diverged.any() else None
    kept = len(losses) if stopped is None else stopped + int(not bad[stopped])
    curve = RateCurve(rates[:kept], losses[:kept], smoothed[:kept], stopped)
    return dataclasses.replace(curve, notes=_notes(curve, len(losses)))


def smooth(losses: Float[np.ndarray, " steps"], smoothing: float) -> Float[np.ndarray, " steps"]:
    """The bias-corrected exponential average: a mean of the losses so far, newest heaviest.

    Example:
        >>> smooth(np.array([1.0, 4.0]), 0.5).tolist()  # (1/4 + 4/2) / (3/4)
        [1.0, 3.0]
    """
    average, averages = 0.0, []
    for loss in losses:
        average = smoothing * average + (1 - smoothing) * float(loss)
        averages.append(average)
    return np.array(averages) / (1 - smoothing ** np.arange(1, len(losses) + 1))


def longest_fall(values: Sequence[float] | np.ndarray) -> list[int]:
    """The places of a longest strictly decreasing subsequence, in n log n.

    Example:
        >>> longest_fall([5.0, 4.0, 4.5, 3.0, 8.0])
        [0, 2, 3]
    """
    ends: list[float] = []  # the least negated end of a fall of each length
    places: list[int] = []
    before: list[int | None] = []
    for place, value in enumerate(values):
        length = bisect.bisect_left(ends, -float(value))
        before.append(places[length - 1] if length else None)
        ends[length:] = [-float(value), *ends[length + 1 :]]
        places[length:] = [place, *places[length + 1 :]]
    fall: list[int] = []
    at: int | None = places[-1]
    while at is not None:
        fall.append(at)
        at = before[at]
    return fall[::-1]


def _notes(curve: RateCurve, steps: int) -> tuple[str, ...]:
    if steps == 0:
        return ("no step was taken",)
    if not len(curve.rates):
        return (
            "the loss of the first batch is not finite, before any update: look at the model and "
            "the data",
        )
    notes = []
    if len(curve.rates) < _FEWEST:
        why = "diverged at once: lower low" if curve.stopped_at is not None else "raise steps"
        notes.append(f"only {len(curve.rates)} of {steps} steps, too few for a suggestion: {why}")
    elif not curve.suggestions["valley"]:
        notes.append("the loss never fell below its beginning, so nothing is suggested: lower low")
    if curve.stopped_at is None and len(curve.rates) >= _FEWEST:
        notes.append(f"never diverged up to {curve.rates[-1]:.3g}: raise high to see the edge")
    return tuple(notes)
