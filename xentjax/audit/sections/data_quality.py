"""The section about the data: classes, duplicates, leaks, label errors and shift."""

from collections.abc import Callable

from xentjax.audit.classifier import Classifier
from xentjax.audit.heads import DATA, LANGUAGE_DATA
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.section import Section
from xentjax.audit.sections.class_shares import class_shares_part
from xentjax.audit.sections.leaks import leaks_part
from xentjax.audit.sections.moved_features import moved_features_part
from xentjax.audit.sections.part import joined
from xentjax.audit.sections.shared_text import shared_lines_part, shared_passages_part
from xentjax.audit.sections.suspect_labels import suspect_labels_part

_MOST_STEPS = 400


def data_quality_section(
    subject: Classifier,
    *,
    seed: int = 0,
    folds: int = 4,
    repeats: int = 1,
    steps: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Whether the data are fit to be learned from and judged on.

    Four looks: test rows that train holds too, labels that are probably wrong, test rows that come
    from elsewhere, classes that are uneven or too rare to be judged. The worst is told first.

    Args:
        subject: the trained classifier with its rows.
        seed: of folds, planted errors, permutations and resamples.
        folds: of the cross-validation that looks for label errors.
        repeats: of it; 2 · folds · repeats models are trained.
        steps: optimizer steps of each; by default those of the subject, at most 400.
        progress: told what is being measured.

    Returns:
        The section, key "data".
    """
    tell = progress or (lambda _: None)
    tell("test rows that train holds too")
    leaks = leaks_part(subject)
    tell("labels that are probably wrong")
    labels = suspect_labels_part(
        subject,
        seed=seed,
        folds=folds,
        repeats=repeats,
        steps=steps or min(subject.steps, _MOST_STEPS),
    )
    tell("shift from train to test")
    shift = moved_features_part(subject, seed=seed)
    tell("class counts")
    classes = class_shares_part(subject, seed=seed)
    return joined(DATA, [leaks, labels, shift, classes])


def language_data_section(
    subject: LanguageModel,
    *,
    seed: int = 0,
    lengths: tuple[int, ...] = (20, 50, 100),
    judged: int = 50,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Whether the held-out text is free of the training text.

    Args:
        subject: the trained language model with its tokens.
        seed: of resamples and the shuffled text.
        lengths: of the windows compared, tokens.
        judged: the one of them that the verdict is about: long enough that chance and common
            phrases do not fill it. 50 characters or bytes are some 8 words; of subword tokens take
            13 or so.
        progress: told what is being measured.

    Returns:
        The section, key "data".

    Raises:
        ValueError: if judged is not one of lengths.
    """
    if judged not in lengths:
        raise ValueError(f"judged must be one of lengths = {lengths}, got {judged}")
    tell = progress or (lambda _: None)
    tell("passages of the test in train")
    passages = shared_passages_part(subject, lengths=lengths, judged=judged, seed=seed)
    tell("lines of the test in train")
    return joined(LANGUAGE_DATA, [passages, shared_lines_part(subject)])
