"""Part: can the loss tell passages of the training text from passages never seen?"""

import numpy as np

from xentjax.audit.language_model import LanguageModel
from xentjax.audit.passages import spread_passages
from xentjax.audit.section import Grid, Measure, Verdict
from xentjax.audit.sections.bounds import below, judged
from xentjax.audit.sections.part import Part
from xentjax.audit.shared_tokens import PASSAGE, repeated_tokens, shared_tokens
from xentjax.audit.text_membership import TextMembership, membership_auc, membership_scores
from xentjax.audit.token_losses import passage_losses

# Where a guess between a member and another passage is right in six pairs of ten.
_BOUND = 0.6
_FEWEST, _MOST = 8, 100
_HEADLINE = "mean log-probability"


def find_membership(subject: LanguageModel, *, seed: int) -> Part:
    """Scores of training passages against test, and, as the null, of validation against test."""
    passages = _passages(subject)
    if passages is None:
        return Part(
            unmeasured=(
                f"Membership of passages: validation and test have no room for {_FEWEST} passages "
                f"of {subject.block} tokens that train does not have too; hold out more text.",
            )
        )
    scores = {split: _scores(subject, cut) for split, cut in passages.items()}
    attack, nulls = (
        {
            name: membership_auc(scores[split][name], scores["test"][name], seed=seed)
            for name in scores["test"]
        }
        for split in ("train", "validation")
    )
    found, topic = attack[_HEADLINE], nulls[_HEADLINE]
    measure = judged(
        "training against test passages (AUC)",
        (found.auc, found.low, found.high),
        # A difference that two held-out parts show as well is one of topic.
        below(_BOUND, act=max(_BOUND, topic.high)),
        why="0.5 is guessing",
    )
    null = Measure(
        "null: validation against test (AUC)",
        topic.auc,
        topic.low,
        topic.high,
        good="0.5 where topics agree",
    )
    return Part(
        sentence=_sentence(found, topic, measure.verdict),
        measures=(measure, null),
        grids=(_grid(attack, nulls, passages["test"].shape[1] - 1),),
        advice=()
        if measure.verdict == "good"
        else ("Train for fewer steps, with more text or dropout, or with differential privacy.",),
    )


def _passages(subject: LanguageModel) -> dict[str, np.ndarray] | None:
    """As many of every split; long ones, of little-like neighbours, where there is room."""
    train = np.asarray(subject.tokens["train"])
    shared = {
        # A passage that train has too is no passage never seen. Repetition is easy, so that
        # members are chosen likewise: among passages that train has once.
        "train": repeated_tokens(train),
        **{
            split: shared_tokens(np.asarray(subject.tokens[split]), train)
            for split in ("validation", "test")
        },
    }
    for length in (4 * subject.block + 1, subject.block + 1):
        cut = {
            split: _unshared(np.asarray(subject.tokens[split]), copied, length)
            for split, copied in shared.items()
        }
        if len(cut["train"]) < _FEWEST:
            # A text that repeats itself throughout has no other members.
            cut["train"] = _unshared(train, np.zeros(len(train), bool), length)
        count = min(_MOST, *map(len, cut.values()))
        if count >= _FEWEST:
            return {
                split: found[np.linspace(0, len(found) - 1, count).round().astype(int)]
                for split, found in cut.items()
            }
    return None


def _unshared(tokens: np.ndarray, shared: np.ndarray, length: int) -> np.ndarray:
    """All passages without a token of what is shared."""
    most = max(1, len(tokens) // length)
    passages, copied = (
        spread_passages(each, length=length, count=most)
        for each in (tokens, shared.astype(np.int32))
    )
    return passages[~copied.any(axis=1)]


def _scores(subject: LanguageModel, passages: np.ndarray):
    losses = passage_losses(subject.model, passages, block=subject.block)
    texts = [subject.tokenizer.decode(row[1:]).encode() for row in passages]
    return membership_scores(losses, texts)


def _sentence(found: TextMembership, topic: TextMembership, verdict: Verdict | None) -> str:
    begin = (
        f"From its loss, a training passage is told from a test passage with AUC {found.auc:.2f} "
        f"({found.low:.2f} to {found.high:.2f}; guessing is 0.5)"
    )
    null = f"{topic.auc:.2f} ({topic.low:.2f} to {topic.high:.2f})"
    if verdict == "act":
        return f"{begin}, more than topic explains: two held-out parts give {null}."
    if verdict == "watch":
        return f"{begin}; two held-out parts, which differ in topic alone, give {null}."
    return f"{begin}, so the loss gives little away."


def _grid(attack, null, length: int) -> Grid:
    count = next(iter(attack.values())).passages

    def cell(found: TextMembership) -> str:
        return f"{found.auc:.2f} ({found.low:.2f} to {found.high:.2f})"

    return Grid(
        "Three ways to tell members by",
        ("score", "training against test", "null: validation against test"),
        [(name, cell(attack[name]), cell(null[name])) for name in attack],
        f"{count} passages of {length} tokens each, those without {PASSAGE} tokens in a "
        "row that train has elsewhere; AUC with 95 % bootstrap interval over "
        "passages. The splits are consecutive parts of one text and differ in topic; only what "
        "goes beyond the null is memory. Passages near each other are alike, so the true "
        "intervals are wider.",
    )
