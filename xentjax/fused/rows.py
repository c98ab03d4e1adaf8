"""What a loss makes of a tile of scores: the dense losses of `xentjax.losses`, on [R, V].

`whole` hands the tile to the dense loss itself. `part` and `join` say the same for a vocabulary
that devices share, by way of `vocabulary_parts`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from xentjax.fused import vocabulary_parts as parts_of
from xentjax.fused.spec import Examples, Operands, Place
from xentjax.losses.divergence import kl_divergence_with_logits
from xentjax.losses.log_partition import label_terms, top_logit
from xentjax.losses.reduction import times
from xentjax.losses.row_partition import softmax_entropy
from xentjax.losses.softmax import index_losses


def logits_of(scores: Array, extras: Operands, owner: str = "") -> Array:
    """cap · tanh(s · (scores + bias) / cap), each step only where it is asked for.

    A class that the bias masks with −inf stays masked, whatever the scale and the cap.
    """
    masked = None
    if (bias := extras.get(owner + "bias")) is not None:
        bias = bias.astype(scores.dtype)[None, :]
        masked = jnp.broadcast_to(bias == -jnp.inf, scores.shape)
        scores = jnp.where(masked, 0, scores + bias)
    if (scale := extras.get(owner + "logit_scale")) is not None:
        scores = scores * scale.astype(scores.dtype)
    if (cap := extras.get(owner + "soft_cap")) is not None:
        cap = cap.astype(scores.dtype)
        scores = cap * jnp.tanh(scores / cap)
    return scores if masked is None else jnp.where(masked, -jnp.inf, scores)


@dataclass(frozen=True)
class CrossEntropyRows:
    """Softmax cross-entropy on integer labels; `classes` is V, all devices together."""

    classes: int

    def whole(self, scores: list[Array], extras: Operands, examples: Examples) -> Array:
        """The dense loss, [R]."""
        logits = logits_of(scores[0], extras)
        smoothing, z_loss = (
            _option(extras, "label_smoothing", logits),
            _option(extras, "z_loss", logits),
        )
        class_weights = _option(extras, "class_weights", logits)
        if class_weights is not None:
            class_weights = class_weights[None, :]
        return index_losses(logits, *examples, 1, class_weights, smoothing, z_loss)[0]

    def part(self, scores: list[Array], extras: Operands, examples: Examples, place: Place) -> Any:
        """What this device's columns say, and only what the options ask for."""
        logits = logits_of(scores[0], extras)
        held = parts_of.columns(logits, place, self.classes)
        class_weights = _option(extras, "class_weights", logits)
        parts: dict[str, Any] = {"label": parts_of.label_part(held, examples.labels)}
        if class_weights is not None:
            parts["weight"] = parts_of.label_weight(held, examples.labels, class_weights)
        if "label_smoothing" in extras:
            top = parts["label"].top
            parts["uniform"] = parts_of.uniform_part(held, top, class_weights)
        return parts

    def join(self, parts: Any, extras: Operands, examples: Examples) -> Array:
        """The loss of the whole vocabulary, [R]."""
        row = parts_of.join_label(parts["label"], examples, self.classes)
        losses = row.nll
        if "weight" in parts:
            losses = times(jnp.sum(parts["weight"], axis=0), losses)
        if (smoothing := _option(extras, "label_smoothing", losses)) is not None:
            uniform = parts_of.join_uniform(parts["uniform"], row)
            losses = times(1 - smoothing, losses) + smoothing * uniform
        if (z_loss := _option(extras, "z_loss", losses)) is not None:
            losses += z_loss * (row.log_total + row.top) ** 2
        return losses


class RowDetails(NamedTuple):
    """What one row of logits says; the index is a float so that all share one derivative."""

    log_prob: Array
    logsumexp: Array
    entropy: Array
    prediction: Array


@dataclass(frozen=True)
class LogProbRows:
    """The label's log-probability and what else a policy loss asks for."""

    classes: int

    def whole(self, scores: list[Array], extras: Operands, examples: Examples) -> RowDetails:
        """From the dense functions, [R] each."""
        logits = logits_of(scores[0], extras)
        terms = label_terms(logits, *examples, 1)
        top = jnp.squeeze(top_logit(logits, 1), 1)
        best = jnp.argmax(logits, axis=1).astype(logits.dtype)
        return RowDetails(
            log_prob=-terms.nll,
            logsumexp=terms.log_total + top,
            entropy=softmax_entropy(logits, 1),
            prediction=lax.stop_gradient(best),
        )

    def part(self, scores: list[Array], extras: Operands, examples: Examples, place: Place) -> Any:
        """What this device's columns say."""
        held = parts_of.columns(logits_of(scores[0], extras), place, self.classes)
        label = parts_of.label_part(held, examples.labels)
        return {"label": label, "spread": parts_of.spread_part(held, label.top)}

    def join(self, parts: Any, extras: Operands, examples: Examples) -> RowDetails:
        """The same of the whole vocabulary."""
        del extras
        row, spread = parts_of.join_label(parts["label"], examples, self.classes), parts["spread"]
        return RowDetails(
            log_prob=-row.nll,
            logsumexp=row.log_total + row.top,
            entropy=parts_of.join_entropy(spread, row),
            prediction=lax.stop_gradient(parts_of.join_prediction(spread, row)),
        )


@dataclass(frozen=True)
class DivergenceRows:
    """KL(teacher ‖ student) of two heads over one vocabulary."""

    def whole(self, scores: list[Array], extras: Operands, examples: Examples) -> Array:
        """The dense divergence, [R]."""
        student, teacher = (
            logits_of(score, extras, owner)
            for score, owner in zip(scores, ("student_", "teacher_"), strict=True)
        )
        temperature = extras.get("temperature", 1.0)
        return kl_divergence_with_logits(
            student, teacher, temperature=temperature, where=examples.keep
        )


def _option(extras: Operands, name: str, like: Array) -> Array | None:
    return extras[name].astype(like.dtype) if name in extras else None
