"""The section on robustness: small changes, noise, wrong labels, and layers that do not learn."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.heads import ROBUSTNESS
from xentjax.audit.section import Section
from xentjax.audit.sections.layer_health import layer_part
from xentjax.audit.sections.part import joined
from xentjax.audit.sections.perturbations import attack_part, noise_part, probed_rows
from xentjax.audit.sections.wrong_labels import label_part


def robustness_section(
    subject: Classifier,
    *,
    model: Any = None,
    rows: int = 256,
    label_shares: Sequence[float] = (0.0, 0.1, 0.2, 0.4),
    trainings: int = 3,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Attacks a classifier, adds noise to its rows and its labels, and looks into its layers.

    Args:
        subject: the classifier.
        model: the trained nnx model in evaluation mode, for the sizes by layer.
        rows: of the test split that are attacked, at most.
        label_shares: of training labels to flip; fewer than two skip it, for it trains
            `trainings` models for each.
        trainings: models for each share.
        seed: of rows, attacks, noise and trainings.
        progress: called with what is being done.

    Returns:
        The section; its verdict is the worst of its parts.

    Raises:
        ValueError: if rows is below 1.
    """
    tell = progress or (lambda _: None)
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    if len(subject.test.labels) == 0 or not np.issubdtype(subject.test.features.dtype, np.floating):
        text = "Nothing was changed: there are no test rows, or features are not floating point."
        return Section(*ROBUSTNESS, "unmeasured", text, unmeasured=[text])
    probed = probed_rows(subject, rows, seed)
    tell("attacks on test rows")
    parts = [attack_part(subject, probed, seed)]
    tell("noise on test rows")
    parts.append(noise_part(subject, probed, seed))
    if len(label_shares) > 1:
        tell("training on wrong labels")
    parts.append(label_part(subject, label_shares, trainings, seed))
    tell("sizes by layer")
    parts.append(layer_part(subject, model, rows, seed))
    return joined(ROBUSTNESS, parts)
