"""Overconfidence of a language model: do tokens come as often as it says?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from xentjax.audit.estimate import Estimate
from xentjax.audit.heads import LANGUAGE_CALIBRATION
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.passages import spread_passages
from xentjax.audit.scaling import TemperatureScaling
from xentjax.audit.section import Grid, Measure, Section, picture
from xentjax.audit.sections.bounds import Bounds, below, judged, mild, unpraised
from xentjax.audit.sections.confidence import ERROR, OVERCONFIDENCE, too_sure
from xentjax.audit.sections.part import Part, joined
from xentjax.audit.sections.wording import percent, with_interval
from xentjax.audit.token_calibration import (
    TokenCalibration,
    fit_token_temperature,
    mean_difference,
    measure_token_calibration,
)
from xentjax.audit.token_predictions import sample_logits, token_predictions
from xentjax.losses.units import bits
from xentjax.plots.reliability import draw_reliability

_SPLITS = ("validation", "test")
_LENGTH = 1024
# Fewer make a bootstrap that is too narrow to be believed; shorter passages are cut for them.
_FEWEST, _WANTED = 10, 30
# Of the loss: a temperature that saves less than a hundredth of it is not worth a change.
_WORTH = 0.01


def language_calibration_section(
    subject: LanguageModel,
    *,
    seed: int = 0,
    most_passages: int = 64,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Measures whether the likeliest token comes as often as is said, and what a temperature mends.

    The temperature is fitted on validation tokens; all else is of the test text, every token of a
    passage predicted once. Intervals are over passages. The verdict is that of confidence against
    hits and of the calibration error, with a bound of five points.

    Args:
        subject: the language model.
        seed: of bootstraps and of the sample of tokens.
        most_passages: of each split; the evenly spaced ones that are scored.
        progress: told what is being done.

    Returns:
        A `Section`; "unmeasured" where texts are too short or logits are not finite.
    """
    tell = progress or (lambda _: None)
    passages = {
        name: _passages(subject.tokens[name], subject.block, most_passages) for name in _SPLITS
    }
    short = [name for name, cut in passages.items() if len(cut) < _FEWEST]
    if short:
        return _refused(
            f"{' and '.join(short)} hold fewer than {_FEWEST} passages of {subject.block + 1} "
            "tokens, one more than the model reads; hold out a longer text"
        )
    tell("overconfidence: temperature of validation tokens")
    sample = sample_logits(subject.model, passages["validation"], block=subject.block, seed=seed)
    if not np.isfinite(sample.logits).all():
        return _refused("the model gives logits that are not finite; look for NaN in it")
    scaling, temperature = fit_token_temperature(sample)
    tell("overconfidence: test tokens")
    scored = token_predictions(
        subject.model,
        passages["test"],
        block=subject.block,
        temperatures=(1.0, scaling.temperature),
    )
    if not all(np.isfinite(each.losses).all() for each in scored):
        return _refused(
            "test tokens have losses that are not finite: the model's logits are broken there, or "
            "a token is outside its vocabulary"
        )
    before, after = (measure_token_calibration(each, seed=seed) for each in scored)
    saved = mean_difference(scored[0].losses, scored[1].losses, seed=seed)
    size = _bytes_per_token(subject, passages["test"])
    parts = [_confidence_part(before, None if scaling.at_bound else after)]
    parts.append(_scaling_part((before, after), scaling, temperature, saved, size))
    return joined(LANGUAGE_CALIBRATION, parts)


def _passages(tokens: np.ndarray, block: int, most: int) -> np.ndarray:
    """Passages of some thousand tokens, shorter where the text is, but of one window at least."""
    length = max(block, min(_LENGTH, len(tokens) // _WANTED - 1))
    return spread_passages(tokens, length=length + 1, count=most)


def _bytes_per_token(subject: LanguageModel, passages: np.ndarray) -> float:
    texts = (subject.tokenizer.decode(passage[1:]) for passage in passages)
    size = sum(len(text.encode("utf-8", errors="replace")) for text in texts)
    return size / passages[:, 1:].size


def _refused(reason: str) -> Section:
    return Section(
        *LANGUAGE_CALIBRATION,
        "unmeasured",
        f"Nothing could be measured: {reason.split(';')[0]}.",
        unmeasured=[f"Overconfidence: {reason}."],
    )


def _confidence_part(before: TokenCalibration, after: TokenCalibration | None) -> Part:
    gap, error = before.overconfidence, before.error
    diagram = before.diagram
    fullest = int(diagram.count.argmax())
    return Part(
        sentence=(
            f"On {before.tokens:,} test tokens the model gave its likeliest token "
            f"{percent(before.confidence)} on average, and that token came in "
            f"{percent(before.accuracy.value)}: {_direction(gap)}. Its calibration error is "
            f"{with_interval(error)}."
        ),
        measures=[
            judged(
                "mean confidence minus accuracy on test tokens",
                gap,
                _trusted(OVERCONFIDENCE, before),
                unit="share",
                why="above 0 the model is too sure of itself, which is worse than too unsure",
            ),
            judged(
                "calibration error on test tokens",
                error,
                _trusted(ERROR, before),
                unit="share",
                why=f"chance alone stays below {percent(before.chance_error)}",
            ),
        ],
        pictures=[
            picture(
                "Reliability of the likeliest token",
                "On the dashed line a token comes as often as the model says. Whiskers are 95 % "
                f"intervals over {before.passages} passages; the fullest bin holds "
                f"{diagram.count[fullest]:,} of {before.tokens:,} tokens, which were given "
                f"{percent(diagram.confidence[fullest])} and came in "
                f"{percent(diagram.accuracy[fullest])}.",
                _draw_tokens,
                diagram,
                None if after is None else after.diagram,
            )
        ],
        advice=_more_text(before),
    )


def _draw_tokens(before: Any, after: Any | None, target: Any) -> None:
    draw_reliability(before, after, target, unit="tokens")


def _trusted(bounds: Bounds, found: TokenCalibration) -> Bounds:
    """No praise from few passages, whose bootstrap is too narrow."""
    return unpraised(bounds) if found.passages < _WANTED else bounds


def _direction(gap: Estimate) -> str:
    ends = f"95 % interval {100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
    if gap.low > 0:
        return f"too sure by {100 * gap.value:.1f} points ({ends})"
    if gap.high < 0:
        return f"less sure than it could be by {-100 * gap.value:.1f} points ({ends})"
    return f"a difference of {100 * gap.value:+.1f} points, which can be chance ({ends})"


def _more_text(found: TokenCalibration) -> list[str]:
    if found.passages >= _WANTED:
        return []
    return [
        f"Hold out more text: {found.passages} passages are few, and intervals over them are "
        f"rather too narrow; {_WANTED} would do."
    ]


def _scaling_part(
    calibrations: tuple[TokenCalibration, TokenCalibration],
    scaling: TemperatureScaling,
    temperature: Estimate,
    saved: Estimate,
    size: float,
) -> Part:
    """What dividing the logits by one number would change."""
    before, after = calibrations
    if scaling.at_bound:
        return Part(
            unmeasured=[
                f"Temperature: on {scaling.rows} validation tokens none is the best, as where the "
                "model is always right or knows nothing; fit it on more or other text."
            ]
        )
    worth = _WORTH * before.nats.value
    rows = [
        _row("as trained", before, size),
        _row(f"temperature {temperature.value:.2f}", after, size),
    ]
    return Part(
        sentence=_scaling_sentence(before, after, temperature, saved),
        measures=[
            Measure(
                "temperature fitted on validation tokens",
                *temperature,
                good="near 1; above it the model is too sure of itself",
            ),
            judged(
                "test loss that the temperature saves",
                saved,
                mild(below(worth)),
                unit="nats",
                why="a hundredth of the loss",
            ),
        ],
        grids=[
            Grid(
                "Before and after the temperature, on test",
                ("logits", "confidence", "accuracy", "calibration error", "nats per token",
                 "bits per byte"),
                rows,
                f"The temperature was fitted on {scaling.rows:,} validation tokens. A token is "
                f"{size:.2f} bytes on average. Dividing changes no likeliest token.",
            )
        ],
        advice=_scaling_advice(before, after, temperature, saved.low > worth),
    )  # fmt: skip


def _row(name: str, found: TokenCalibration, size: float) -> tuple[str, ...]:
    return (
        name,
        percent(found.confidence),
        percent(found.accuracy.value),
        with_interval(found.error),
        f"{found.nats.value:.4f}",
        f"{float(bits(found.nats.value)) / size:.4f}" if size else "–",
    )


def _scaling_sentence(
    before: TokenCalibration, after: TokenCalibration, temperature: Estimate, saved: Estimate
) -> str:
    told = (
        f"{temperature.value:.2f} ({temperature.low:.2f} to {temperature.high:.2f}), fitted on "
        "validation tokens"
    )
    if saved.high < 0:
        return f"No temperature helps: the best, {told}, makes the test loss worse."
    if saved.low <= 0:
        return f"No temperature is shown to help: the best, {told}, saves nothing for sure on test."
    return (
        f"With all logits divided by {told}, the test loss goes from {before.nats.value:.4f} to "
        f"{after.nats.value:.4f} nats a token and the calibration error to "
        f"{with_interval(after.error)}."
    )


def _scaling_advice(
    before: TokenCalibration, after: TokenCalibration, temperature: Estimate, worth_it: bool
) -> list[str]:
    advice = []
    if worth_it:
        advice.append(
            f"Divide the logits by {temperature.value:.2f} before the softmax, in sampling too: "
            f"the test loss goes from {before.nats.value:.4f} to {after.nats.value:.4f} nats."
        )
    if too_sure(before.overconfidence):
        advice.append(
            "Do not use these probabilities to tell what the model knows; train with early "
            "stopping, dropout or more text, and audit again."
        )
    return advice
