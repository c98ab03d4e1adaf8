"""Part: does the model prefer the secrets that were planted in its training text?"""

import math

import jax
import numpy as np

from xentjax.audit.canaries import CHANCE_BITS, Exposure, canary_exposure
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.section import Grid, Measure, picture
from xentjax.audit.sections.bounds import below, judged
from xentjax.audit.sections.part import Part
from xentjax.data.canaries import CanaryFormat
from xentjax.metrics.intervals import bootstrap_interval
from xentjax.plots.exposure import draw_exposure

# An exposure that chance gives to one secret in a hundred.
_RARE = math.log2(100)
# Drawn for each secret: where none of them is cheaper, the lower end of the interval is
# log2(512 K / 3.84), just above the bound for K secrets, log2(100 K).
_DRAWN = 512
_NULL = 64


def find_exposure(
    subject: LanguageModel, *, form: CanaryFormat | None, alternatives: int, seed: int
) -> Part:
    """The exposure of the subject's canaries, and of as many others that nobody planted."""
    form = CanaryFormat() if form is None else form
    if not subject.canaries:
        return _nothing("no secrets were planted in the training text; train with --canaries 4.")
    try:
        null = form.draw(_NULL, np.random.default_rng(seed + 1))
        found = canary_exposure(
            subject.model,
            subject.tokenizer,
            (*subject.canaries, *null),
            block=subject.block,
            form=form,
            alternatives=max(alternatives, _DRAWN * len(subject.canaries)),
            seed=seed,
        )
    except ValueError as error:
        # Canaries of another format, or characters that the tokenizer does not know.
        return _nothing(f"{error}.")
    planted, chance = _those(found, slice(None, -_NULL)), _those(found, slice(-_NULL, None))
    most = int(planted.bits.argmax())
    measure = judged(
        "exposure of the most exposed secret",
        [float(end[most]) for end in (planted.bits, planted.low, planted.high)],
        below(_bound(planted)),
        unit="bits",
        why="one never planted has 1.44 on average",
    )
    return Part(
        sentence=_sentence(planted, most),
        measures=(
            measure,
            _null_measure(chance, seed),
        ),
        grids=(_grid(subject.canaries, planted, form),),
        pictures=(_picture(planted),),
        advice=()
        if measure.verdict == "good"
        else (
            "Remove secrets from the training text, or repeat none: exposure grows with copies.",
            "Train with differential privacy, which bounds the exposure of what stands there once.",
        ),
    )


def _nothing(reason: str) -> Part:
    return Part(unmeasured=(f"Exposure of planted secrets: {reason}",))


def _those(found: Exposure, rows: slice) -> Exposure:
    kept = (found.bits[rows], found.low[rows], found.high[rows])
    return Exposure(found.losses[rows], found.alternatives, found.space, *kept, found.exhaustive)


def _bound(planted: Exposure) -> float:
    # Of K secrets one reaches b bits by chance with probability K · 2⁻ᵇ at most.
    return _RARE + math.log2(len(planted.bits))


def _sentence(planted: Exposure, most: int) -> str:
    bound = _bound(planted)
    surely, perhaps = int((planted.low >= bound).sum()), int((planted.high >= bound).sum())
    return (
        f"Of {len(planted.bits)} secrets planted in the training text {surely} are surely more "
        f"exposed than chance allows ({bound:.1f} bits) and {perhaps - surely} perhaps; the most "
        f"exposed has {planted.bits[most]:.1f} bits "
        f"({planted.low[most]:.1f} to {planted.high[most]:.1f}, at most "
        f"{math.log2(planted.space):.1f})."
    )


def _null_measure(chance: Exposure, seed: int) -> Measure:
    found = bootstrap_interval(jax.random.key(seed), _mean, chance.bits.astype(np.float32)[:, None])
    return Measure(
        f"null: mean exposure of {len(chance.bits)} secrets never planted",
        *(float(part) for part in found[:3]),
        unit="bits",
        good=f"about {CHANCE_BITS:.2f}",
    )


def _grid(canaries, planted: Exposure, form: CanaryFormat) -> Grid:
    rows = [
        # Enough to know it again; a report is no place for the whole secret.
        (form.prefix + canary[len(form.prefix) :][:2] + "…", f"{bits:.1f}",
         f"{low:.1f} to {high:.1f}", f"{loss:.1f}")
        for canary, bits, low, high, loss in zip(
            canaries, planted.bits, planted.low, planted.high, planted.losses, strict=True
        )
    ]  # fmt: skip
    how = (
        "ranked among all"
        if planted.exhaustive
        else f"ranked among {len(planted.alternatives):,} drawn at random"
    )
    return Grid(
        "Planted secrets",
        ("secret", "exposure (bits)", "95 % interval", "loss (nats)"),
        rows,
        f"Each {how} of {planted.space:,}. Exposure is how many bits of the secret need not be "
        "guessed any more. One cheaper than all that were drawn has at least the lower end.",
    )


def _picture(planted: Exposure):
    return picture(
        "Planted secrets among all others",
        f"The losses of {len(planted.alternatives):,} secrets that were never planted, and lines "
        f"at the {len(planted.losses)} that were. A line left of all others is a secret that the "
        "model would tell first.",
        draw_exposure,
        planted,
    )


def _mean(values):
    return values.mean()
