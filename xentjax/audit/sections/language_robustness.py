"""The section on robustness for language models: damaged input, and the health of its layers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xentjax.audit.attention import trace_attention
from xentjax.audit.heads import LANGUAGE_ROBUSTNESS
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.passages import spread_passages
from xentjax.audit.replacement import replacement_losses
from xentjax.audit.section import Grid, Measure, Section, picture
from xentjax.audit.sections.bounds import below, judged, mild
from xentjax.audit.sections.part import Part, joined
from xentjax.audit.sections.wording import round_percent
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.plots.replacement import draw_replacement

_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_JUDGED = 0.1
_WINDOWS, _FEWEST = 256, 8
# Gradients that differ by more than this between layers are called vanishing or exploding.
_SPREAD = 100.0


def language_robustness_section(
    subject: LanguageModel,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Replaces input at random, and looks at activations and gradients layer by layer.

    Args:
        subject: the language model.
        seed: of what is replaced and of resamples.
        progress: told what is being done.

    Returns:
        The section.
    """
    tell = progress or (lambda _: None)
    windows = spread_passages(subject.tokens["test"], length=subject.block + 1, count=_WINDOWS)
    parts = []
    if len(windows) < _FEWEST:
        parts.append(
            Part(
                unmeasured=(
                    f"Replaced input: test has fewer than {_FEWEST} windows of {subject.block} "
                    "tokens; hold out more text.",
                )
            )
        )
    else:
        tell("robustness: replaced input")
        parts.append(_replaced(subject, windows, seed))
    if len(windows):
        tell("robustness: activations and gradients by layer")
        parts.append(_layers(subject, windows[:32]))
    return joined(LANGUAGE_ROBUSTNESS, parts)


def _replaced(subject: LanguageModel, windows: np.ndarray, seed: int) -> Part:
    train = np.asarray(subject.tokens["train"])
    losses = replacement_losses(
        subject.model, windows, _SHARES, choices=np.unique(train), seed=seed
    )
    unigram = _unigram(train, windows[:, 1:], subject.model.config.vocab_size)
    clean, damaged = losses[0], losses[_SHARES.index(_JUDGED)]
    measure = judged(
        f"loss with {round_percent(_JUDGED)} of the input replaced",
        damaged,
        below(unigram),
        unit="nats",
        why="what a model without context has",
    )
    rows = [
        (round_percent(share), f"{x.value:.3f}", f"{x.low:.3f} to {x.high:.3f}")
        for share, x in zip(_SHARES, losses, strict=True)
    ]
    return Part(
        sentence=(
            f"With {round_percent(_JUDGED)} of what it reads replaced at random, the loss goes "
            f"from {clean.value:.2f} to {damaged.value:.2f} nats a token ({damaged.low:.2f} to "
            f"{damaged.high:.2f}); a model that reads nothing has {unigram:.2f}."
        ),
        measures=(
            Measure("test loss of these windows, undamaged", *clean, unit="nats"),
            measure,
        ),
        grids=(
            Grid(
                "Loss by share replaced",
                ("input replaced", "loss (nats)", "95 % interval"),
                rows,
                f"{len(windows)} test windows; only what is read is damaged, the true tokens are "
                "predicted. The bootstrap draws windows.",
            ),
        ),
        pictures=(
            picture(
                "Reading with errors",
                f"The loss rises from {clean.value:.2f} nats to {losses[-1].value:.2f} as half of "
                "the input is replaced. Above the dashed line the model would do better not to "
                "read at all.",
                draw_replacement,
                _SHARES,
                losses,
                unigram,
            ),
        ),
        advice=()
        if measure.verdict == "good"
        else ("Train on text with some tokens replaced, or with dropout on the embedding.",),
    )


def _unigram(train: np.ndarray, wanted: np.ndarray, vocabulary: int) -> float:
    # One count more for each token of the vocabulary, lest one never met cost infinitely much.
    counts = np.bincount(train, minlength=vocabulary) + 1
    return float(-np.log(counts / counts.sum())[wanted].mean())


def _layers(subject: LanguageModel, windows: np.ndarray) -> Part:
    traced = [trace_attention(subject.model, row[:-1]).hidden for row in windows]
    hidden = np.stack(traced).astype(np.float64)
    gradients = _gradient_sizes(subject.model, windows)
    rows = []
    for number, gradient in enumerate(gradients, start=1):
        before, after = hidden[:, number - 1], hidden[:, number]
        added = _size(after - before) / max(_size(before), 1e-30)
        rows.append((number, f"{_size(after):.3g}", f"{added:.3g}", f"{gradient:.3g}"))
    finite = bool(np.isfinite(hidden).all())
    spread = max(gradients) / max(min(gradients), 1e-30) if finite else np.inf
    measure = judged("largest gradient of a layer over the smallest", spread, mild(below(_SPREAD)))
    return Part(
        measures=(measure,),
        grids=(
            Grid(
                "Activations and gradients by layer",
                ("layer", "size of the state after it", "added to it, relative", "gradient"),
                rows,
                f"Root mean squares over {len(windows)} test windows; the gradient is that of the "
                "mean loss by the layer's weights.",
            ),
        ),
        advice=()
        if measure.verdict == "good"
        else ("Gradients vanish or explode between layers: lower the rate, or clip the gradient.",),
    )


def _size(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _gradient_sizes(model, windows: np.ndarray) -> list[float]:
    """The root mean square of the gradient of each block's parameters."""
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, tokens):
        logits = nnx.merge(graphdef, params, rest)(tokens[:, :-1])
        return softmax_cross_entropy(logits, tokens[:, 1:]).mean()

    blocks = jax.jit(jax.grad(loss))(params, jnp.asarray(windows))["blocks"]
    return [
        _size(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(blocks[number])]))
        for number in range(len(model.blocks))
    ]
