"""The section on privacy: can it be told from the model which rows it was trained on?"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.heads import PRIVACY
from xentjax.audit.likelihood_ratio import label_confidences, leave_one_out_scores, offline_scores
from xentjax.audit.membership import MembershipAttack, loss_threshold_attack, membership_attack
from xentjax.audit.section import Section, Verdict, worst
from xentjax.audit.sections.membership_findings import (
    attack_advice,
    attack_finding,
    attack_measures,
    attack_pictures,
    attack_table,
    most_exposed_rows,
    null_measure,
    unresolved_rates,
)
from xentjax.audit.sections.private_comparison import PrivateComparison, compare_with_private
from xentjax.audit.shadows import Shadows, balanced_members, train_shadows

_FEWEST_SHADOWS = 6
_OWN = "losses, this model"


def privacy_section(
    subject: Classifier,
    *,
    shadows: int = 32,
    private: bool = False,
    epsilon: float = 8.0,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Attacks the model and its kind of training, and compares with a private training.

    Losses alone, on the audited model; the likelihood ratio, on shadow models trained like it on
    random halves of the training and test rows, each attacked by the others; and the same shadow
    models against the audited model. Every attack is run once more where there is nothing to find.

    Args:
        subject: the audited classifier.
        shadows: how many shadow models to train, even and at least 6; 0 trains none. 32 cost as
            much as about 16 trainings of the audited model.
        private: train once more by DP-SGD, and show what that costs and gives.
        epsilon: what the private training may spend.
        seed: of the shadow models and the private training.
        progress: told what is being done.

    Returns:
        A `Section`, key "privacy".

    Raises:
        ValueError: if shadows is odd or between 1 and 5.

    Reference:
        N. Carlini et al., Membership Inference Attacks From First Principles, 2022.
    """
    if shadows and (shadows < _FEWEST_SHADOWS or shadows % 2):
        raise ValueError(
            f"shadows must be 0, or even and at least {_FEWEST_SHADOWS}, got {shadows}"
        )
    say = progress or (lambda _: None)
    found = _attack(subject, shadows, seed, say)
    if found is None:
        return _section(
            "unmeasured",
            "Not measured.",
            unmeasured=[
                "All attacks: the logits are not finite on every row of train and test, or one of "
                "them has no rows. Remedy: mend the training or the split first."
            ],
        )
    measures = [
        *(measure for item in found.attacks.items() for measure in attack_measures(*item)),
        *(null_measure(*item) for item in found.nulls.items()),
    ]
    verdict = worst([measure.verdict for measure in measures])
    if private:
        say("training a private model")
        beside = compare_with_private(
            subject, found.attacks, found.cohort, epsilon=epsilon, seed=seed
        )
    else:
        beside = PrivateComparison(
            unmeasured=[
                "What a private training (DP-SGD) would cost and give: not asked for. Remedy: "
                "xentjax audit … --private, or privacy_section(…, private=True)."
            ]
        )
    exposed = [] if found.cohort is None else [most_exposed_rows(subject, found.cohort)]
    return _section(
        verdict,
        attack_finding(found.attacks, shadows),
        measures=[*measures, *beside.measures],
        grids=[attack_table({**found.attacks, **found.nulls}), *exposed],
        pictures=[*attack_pictures(found.attacks, found.nulls), *beside.pictures],
        advice=[*attack_advice(verdict, found.nulls), *beside.advice],
        unmeasured=[*found.unmeasured, *unresolved_rates(found.attacks), *beside.unmeasured],
    )


class _Found(NamedTuple):
    attacks: dict[str, MembershipAttack]
    nulls: dict[str, MembershipAttack]
    cohort: Shadows | None
    unmeasured: list[str]


def _attack(subject: Classifier, shadows: int, seed: int, say: Callable) -> _Found | None:
    """All attacks and their nulls; None where the model's logits allow none."""
    train, validation, test = (
        _finite_confidences(rows) for rows in (subject.train, subject.validation, subject.test)
    )
    if train is None or test is None:
        return None
    found = _Found({_OWN: _by_loss(train, test)}, {}, None, [])
    if validation is not None:
        found.nulls["losses, validation against test"] = _by_loss(validation, test)
    cohort = _shadows(subject, shadows, seed, say, found.unmeasured)
    if cohort is None:
        return found
    attack, null = _attack_cohort(cohort, seed)
    found.attacks["likelihood ratio, shadow models"] = attack
    found.nulls["likelihood ratio, members drawn anew"] = null
    found.attacks["likelihood ratio, this model"] = membership_attack(
        offline_scores(np.concatenate([train, test]), cohort.confidences, cohort.members),
        np.arange(train.size + test.size) < train.size,
    )
    return found._replace(cohort=cohort)


def _section(verdict: Verdict, finding: str, **parts: Any) -> Section:
    return Section(
        *PRIVACY,
        verdict=verdict,
        finding=finding,
        **parts,
    )


def _finite_confidences(rows: Rows) -> np.ndarray | None:
    if not len(rows.labels) or not np.isfinite(rows.logits).all():
        return None
    return label_confidences(rows.logits, rows.labels)


def _by_loss(members: np.ndarray, others: np.ndarray) -> MembershipAttack:
    # −log p_y = log(1 + e^−φ), exact at every margin.
    return loss_threshold_attack(np.logaddexp(0, -members), np.logaddexp(0, -others))


def _shadows(subject, models, seed, say, unmeasured) -> Shadows | None:
    """Shadow models on halves of the training and test rows, as often over them as the model."""
    if not models:
        unmeasured.append(
            "Likelihood-ratio attacks, the strongest known: shadows=0. Remedy: shadows=32."
        )
        return None
    features, labels = (
        np.concatenate([getattr(rows, name) for rows in (subject.train, subject.test)])
        for name in ("features", "labels")
    )
    steps = max(1, round(subject.steps * (len(labels) / 2) / len(subject.train.labels)))
    say(f"training {models} shadow models, {steps} steps each")
    try:
        return train_shadows(
            subject.make_model,
            features,
            labels,
            models=models,
            steps=steps,
            batch_size=subject.batch_size,
            learning_rate=subject.learning_rate,
            seed=seed,
        )
    except ValueError as error:
        unmeasured.append(
            f"Likelihood-ratio attacks: the shadow models could not be trained ({error}). Remedy: "
            "a lower learning rate where they diverged, more rows where there are too few."
        )
        return None


def _attack_cohort(cohort: Shadows, seed: int) -> tuple[MembershipAttack, MembershipAttack]:
    """The attack of each shadow model by the others, and the same with members drawn anew."""
    found = membership_attack(
        leave_one_out_scores(cohort.confidences, cohort.members), cohort.members
    )
    anew = balanced_members(*cohort.members.shape, seed=seed + 1)
    return found, membership_attack(leave_one_out_scores(cohort.confidences, anew), anew)
