"""The section on memorization: what a language model would give away of its training text."""

from collections.abc import Callable

import jax

from xentjax.audit.heads import LANGUAGE_MEMORIZATION
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.section import Section
from xentjax.audit.sections.part import joined
from xentjax.audit.sections.passage_membership import find_membership
from xentjax.audit.sections.planted_secrets import find_exposure
from xentjax.audit.sections.recitation import find_recitation
from xentjax.audit.sections.written_data import find_written_data
from xentjax.data.canaries import CanaryFormat


def memorization_section(
    subject: LanguageModel,
    *,
    seed: int = 0,
    form: CanaryFormat | None = None,
    prompts: int = 96,
    alternatives: int = 2048,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Attacks a language model for its training text, each attack beside its null.

    Args:
        subject: the language model.
        seed: of places, samples and resamples.
        form: of the subject's canaries; the default one by default.
        prompts: places to continue from.
        alternatives: secrets to rank the canaries among; 512 a canary at least.
        progress: told what is being done.

    Returns:
        The section.
    """
    tell = progress or (lambda _: None)
    tell("memorization: membership of passages")
    membership = find_membership(subject, seed=seed)
    tell("memorization: verbatim extraction")
    recited = find_recitation(subject, prompts=prompts, seed=seed)
    tell("memorization: planted secrets")
    secrets = find_exposure(subject, form=form, alternatives=alternatives, seed=seed)
    tell("memorization: personal data in what it writes")
    written = find_written_data(subject, key=jax.random.key(seed))
    return joined(LANGUAGE_MEMORIZATION, (recited, secrets, membership, written))
