"""How well predicted probabilities fit what happened: perplexity, bits per byte, proper scores."""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses.reduction import example_mask
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.metrics import tally
from xentjax.metrics.examples import read_indices, read_weights, require_shape
from xentjax.metrics.mean import Mean, MeanState
from xentjax.metrics.predictions import Predictions, read_distributions, read_predictions
from xentjax.metrics.tally import Tally


@dataclass(frozen=True)
class Perplexity:
    """exp of the mean loss over all tokens seen; a mean of perplexities is another number.

    Example:
      >>> import jax.numpy as jnp
      >>> perplexity = Perplexity()
      >>> losses = jnp.log(jnp.array([2.0, 8.0]))
      >>> state = perplexity.update(perplexity.init(), losses)
      >>> print(f"{perplexity.compute(state):.4f}")  # √(2 · 8)
      4.0000

    Reference:
      F. Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks, 1977.

    See Also:
      `BitsPerByte`, which compares across tokenizers.
    """

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        losses: Num[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds the losses of tokens in nats, any shape; `where` and `weights` broadcast to it."""
        return Mean().update(state, losses, where=where, weights=weights)

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """The perplexity; NaN when nothing was counted."""
        return jnp.exp(Mean().compute(state))


class BitsPerByteState(NamedTuple):
    """Σ mᵢ wᵢ lossᵢ in nats and Σ mᵢ wᵢ bytesᵢ."""

    nats: Tally
    n_bytes: Tally


@dataclass(frozen=True)
class BitsPerByte:
    """Σ loss / (log 2 · Σ bytes): what a text costs, whatever it was cut into.

    Example:
      >>> import jax.numpy as jnp
      >>> metric = BitsPerByte()
      >>> losses = jnp.log(jnp.array([4.0, 16.0]))  # 2 and 4 bits
      >>> state = metric.update(metric.init(), losses, jnp.array([1, 3]))
      >>> print(f"{metric.compute(state):.4f}")  # 6 bits over 4 bytes
      1.5000

    See Also:
      `bits_per_byte` for a loss that is already summed.
    """

    def init(self) -> BitsPerByteState:
        """Nothing seen."""
        return BitsPerByteState(tally.zeros(), tally.zeros())

    def update(
        self,
        state: BitsPerByteState,
        losses: Num[ArrayLike, "..."],
        n_bytes: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> BitsPerByteState:
        """Adds a batch.

        Args:
          state: what was seen before.
          losses: nats, any shape: of tokens, or summed over texts.
          n_bytes: non-negative integers, the shape of `losses`: the bytes that each one covers.
          where: boolean, broadcastable to `losses`; False leaves out a loss and its bytes.
          weights: non-negative, broadcastable to `losses`; weigh both.

        Returns:
          The state with the batch added.

        Raises:
          TypeError: `n_bytes` are not integers, `where` is not boolean.
          ValueError: shapes do not fit or (eager calls) a count of bytes or a weight is negative.
            Under jit such a value makes the result NaN.
        """
        losses = jnp.asarray(losses)
        require_shape(n_bytes, losses.shape, "n_bytes", "losses")
        keep = example_mask(where, losses.shape)
        counts, good = read_indices(n_bytes, "n_bytes", None, keep)
        scale = read_weights(weights, keep, losses.shape)
        total = tally.add_sum(state.n_bytes, counts, where=keep, weights=scale)
        return BitsPerByteState(
            tally.add_sum(state.nats, losses, where=keep, weights=scale),
            tally.nan_unless(total, jnp.all(good)),
        )

    def compute(self, state: BitsPerByteState) -> Float[Array, ""]:
        """Bits per byte; NaN when nothing was counted."""
        return tally.value(state.nats) / tally.value(state.n_bytes) / math.log(2)


@dataclass(frozen=True)
class LogScore:
    """Mean −log p of what happened, exact from logits: the proper score that training minimises.

    Example:
      >>> import jax.numpy as jnp
      >>> score = LogScore()
      >>> logits = jnp.log(jnp.array([[0.5, 0.5], [0.2, 0.8]]))
      >>> state = score.update(score.init(), logits, jnp.array([0, 1]))
      >>> print(f"{score.compute(state):.4f}")  # (log 2 + log 1.25) / 2
      0.4581

    Reference:
      I. J. Good, Rational Decisions, 1952.

    See Also:
      `BrierScore`, which one confident mistake does not make infinite.
    """

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        logits: Num[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds a batch; arguments and errors are those of `softmax_cross_entropy`."""
        losses = softmax_cross_entropy(logits, labels, where=where)
        return Mean().update(state, losses, where=where, weights=weights)

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """Nats for each example; NaN when nothing was counted."""
        return Mean().compute(state)


@dataclass(frozen=True)
class BrierScore:
    r"""Mean squared distance of probabilities from what happened.

    Σ_c (p_c − y_c)² of classes, between 0 and 2, and (p − y)² of an event: Brier's definition
    and that of scikit-learn's `brier_score_loss`, which halves a sum over two classes unless
    scale_by_half=False. So give an event's probabilities as [*batch] to have the half.

    Prefer it to `LogScore` where a confident mistake should cost a bounded amount.

    Example:
      >>> import jax.numpy as jnp
      >>> score = BrierScore()
      >>> probabilities = jnp.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
      >>> state = score.update(score.init(), probabilities, jnp.array([0, 2]))
      >>> print(score.compute(state))  # (¼ + ¼) / 2
      0.25

    Reference:
      G. W. Brier, Verification of Forecasts Expressed in Terms of Probability, 1950.
    """

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        probabilities: Num[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds a batch.

        Args:
          state: what was seen before.
          probabilities: floating [*batch, C], rows summing to 1; or, of one event, [*batch].
          labels: integer class indices [*batch]; of an event, booleans or 0 and 1.
          where: boolean, broadcastable to [*batch]; False leaves an example out.
          weights: non-negative, broadcastable to [*batch].

        Returns:
          The state with the batch added.

        Raises:
          TypeError: a dtype is wrong.
          ValueError: shapes do not fit or (eager calls) a row is no distribution, a label out of
            range or a weight negative. Under jit such a value makes the result NaN.
        """
        predictions = read_predictions(probabilities, labels, where=where, weights=weights)
        return MeanState(*map(tally.merge, state, _brier(predictions)))

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """The score; NaN when nothing was counted."""
        return Mean().compute(state)


@dataclass(frozen=True)
class Sharpness:
    """Mean of the highest probability: how bold forecasts are, right or wrong.

    A forecaster should be as sharp as calibration allows. Sharpness less accuracy is how far
    confidence exceeds what it delivers on average: 0 for a calibrated one.

    Example:
      >>> import jax.numpy as jnp
      >>> sharpness = Sharpness()
      >>> state = sharpness.update(sharpness.init(), jnp.array([[0.5, 0.5], [0.0, 1.0]]))
      >>> print(sharpness.compute(state))  # (0.5 + 1) / 2
      0.75

    Reference:
      T. Gneiting, F. Balabdaoui, A. E. Raftery, Probabilistic Forecasts, Calibration and
      Sharpness, 2007.

    See Also:
      `Reliability`.
    """

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        probabilities: Num[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds probabilities [*batch, C]; arguments and errors are those of `BrierScore`."""
        keep = example_mask(where, jnp.shape(probabilities)[:-1])
        values, good = read_distributions(probabilities, keep)
        top = jnp.where(good, jnp.max(values, axis=-1), jnp.nan)
        scale = read_weights(weights, keep, top.shape)
        return Mean().update(state, top, where=keep, weights=scale)

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """A number in [1/C, 1]; NaN when nothing was counted."""
        return Mean().compute(state)


@partial(jax.jit, inline=True)
def _brier(predictions: Predictions) -> MeanState:
    probabilities, outcomes, good, counted = predictions
    if predictions.of_event:
        scores = (probabilities - outcomes.astype(probabilities.dtype)) ** 2
    else:
        hot = jax.nn.one_hot(outcomes, probabilities.shape[-1], dtype=probabilities.dtype)
        scores = jnp.sum((probabilities - hot) ** 2, axis=-1)
    # A masked row's score is that of zeros: finite, and counted 0 times.
    scores = scores * counted.astype(scores.dtype)
    return MeanState(tally.nan_unless(tally.total(scores), good), tally.total(counted))
