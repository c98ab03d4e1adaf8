"""The part of the section on overfitting about what is new: the loss where train has no such text.

A test text that repeats training text has a loss that measures memory in part; the gap between
training and test then looks smaller than it is.
"""

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.audit.estimate import Estimate, percentiles
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.section import Measure
from xentjax.audit.sections.bounds import below, judged, unpraised
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent
from xentjax.audit.shared_tokens import PASSAGE, shared_tokens
from xentjax.audit.token_losses import text_losses
from xentjax.metrics.intervals import bootstrap_interval

# Tokens that stand together share their topic: blocks are resampled, and fewer say little.
_BLOCK, _FEWEST, _WANTED = 512, 10, 30
_LONGEST = 60_000


def new_text_part(subject: LanguageModel, *, bound: float, seed: int) -> Part:
    """The test loss on tokens in no passage that train has too, beside that on all.

    Args:
        subject: the language model.
        bound: nats by which shared text may make the test loss too kind.
        seed: of the bootstrap.
    """
    train, test = (np.asarray(subject.tokens[name]) for name in ("train", "test"))
    test = test[:_LONGEST].astype(np.int32)
    shared = shared_tokens(test, train)
    if not shared.any():
        return Part()
    new = ~shared[1:]
    # As many whole blocks as there are, the last one longer than the others.
    blocks = len(new) // _BLOCK
    if blocks < _FEWEST or not new.any():
        return Part(
            unmeasured=[
                f"Loss on text that is new: test has {new.sum():,} tokens outside of passages that "
                f"train has too, in {blocks} blocks of {_BLOCK}; {_FEWEST} are needed. Hold out "
                "more text, of documents that train does not have."
            ]
        )
    losses = text_losses(subject.model, test, block=subject.block).astype(np.float64)
    starts = np.arange(blocks) * _BLOCK
    sums = [
        np.add.reduceat(each, starts) for each in (losses, losses * new, 1.0 + 0 * new, 1.0 * new)
    ]
    fresh, kind = (_resampled(statistic, sums, seed) for statistic in (_loss_of_new, _kindness))
    whole = float(losses.mean())
    measure = judged(
        f"nats by which passages of {PASSAGE} tokens that train has flatter the test loss",
        kind,
        below(bound) if blocks >= _WANTED else unpraised(below(bound)),
        unit="nats",
        why="as the loss gap",
    )
    return Part(
        f"Where train does not have the text word for word, on {percent(new.mean())} of the "
        f"test's tokens, the loss is {fresh.value:.3g} nats ({fresh.low:.3g} to {fresh.high:.3g}) "
        f"instead of {whole:.3g} on all of it: shared text flatters the test by {kind.value:.3g} "
        "nats "
        f"({kind.low:.3g} to {kind.high:.3g}).",
        [
            Measure("test loss where train does not have the text", *fresh, "nats"),
            measure,
        ],
        advice=[]
        if measure.verdict == "good"
        else [
            "Report the loss on the text that train does not have; split by documents, not by "
            "place, and remove copies first."
        ],
    )


def _resampled(statistic, sums: list[np.ndarray], seed: int) -> Estimate:
    found = bootstrap_interval(
        jax.random.key(seed), statistic, *(jnp.asarray(each, jnp.float32) for each in sums)
    )
    return percentiles(float(found.estimate), np.asarray(found.resampled, np.float64))


def _loss_of_new(_all, new, _count, new_count):
    return jnp.sum(new) / jnp.sum(new_count)


def _kindness(losses, new, count, new_count):
    return jnp.sum(new) / jnp.sum(new_count) - jnp.sum(losses) / jnp.sum(count)
