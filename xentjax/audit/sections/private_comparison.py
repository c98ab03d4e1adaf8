"""What a private training costs and gives, beside the audited model; a part of `privacy`."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.likelihood_ratio import label_confidences, offline_scores
from xentjax.audit.membership import MembershipAttack, loss_threshold_attack, membership_attack
from xentjax.audit.privacy_budget import true_positive_bound
from xentjax.audit.private_training import PrivateTraining, train_private
from xentjax.audit.section import Measure, Picture, picture
from xentjax.audit.sections.wording import percent
from xentjax.audit.shadows import Shadows
from xentjax.metrics.intervals import wilson_interval
from xentjax.plots.membership import draw_membership_roc

# Noise averages out over a batch and over steps: larger batches and higher rates than without it.
# On the digits 96 % are right with these at ε = 8, and 90 % with the rate as it was.
_BATCHES, _RATES = 4, 3.0
_WHAT = "What a private training (DP-SGD) would cost and give"


@dataclasses.dataclass(frozen=True)
class PrivateComparison:
    """What goes into the section.

    Attributes:
        measures: of the private model.
        pictures: both models' attacks.
        advice: what its promise is.
        unmeasured: why there is nothing else.
    """

    measures: Sequence[Measure] = ()
    pictures: Sequence[Picture] = ()
    advice: Sequence[str] = ()
    unmeasured: Sequence[str] = ()


def compare_with_private(
    subject: Classifier,
    attacks: Mapping[str, MembershipAttack],
    shadows: Shadows | None,
    *,
    epsilon: float = 8.0,
    seed: int = 0,
) -> PrivateComparison:
    """Trains a model of the same kind by DP-SGD, scores it, and attacks it as the audited one.

    δ is a tenth of one row's share, 0.1 / N; the rows are passed over as often as the audited
    model's.

    Args:
        subject: the audited classifier.
        attacks: on the audited model, of which the last is the one to compare with.
        shadows: the shadow models of that attack; None where it is the one by losses.
        epsilon: what may be spent.
        seed: of the private training.
    """
    try:
        private = _train(subject, epsilon, seed)
    except (ImportError, ValueError) as error:
        return PrivateComparison(unmeasured=[f"{_WHAT}: {error}."])
    train, test = (private.logits(rows.features) for rows in (subject.train, subject.test))
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return PrivateComparison(
            unmeasured=[f"{_WHAT}: it diverged. Remedy: a lower learning rate."]
        )
    name, attack = list(attacks.items())[-1]
    kind = name.partition(",")[0]
    weaker = _same_attack(subject, train, test, shadows)
    right, own = (
        logits.argmax(axis=1) == subject.test.labels for logits in (test, subject.test.logits)
    )
    drawn = {
        f"{kind}, this model": attack,
        f"{kind}, private (ε = {private.epsilon:.1f})": weaker,
    }
    return PrivateComparison(
        measures=_measures(private, (kind, weaker), right, own),
        pictures=[
            picture(
                "The same attack on a private model",
                f"The audited model's area is {attack.auc:.3f}, the private one's "
                f"{weaker.auc:.3f}. On the dashed line an attack is chance. The shadow models, "
                "where there are any, are not private ones: with such the attack may do better, "
                "though never better than the promise.",
                draw_membership_roc,
                drawn,
            )
        ],
        advice=[_promise(private, right, own)],
    )


def _same_attack(subject, train, test, shadows: Shadows | None) -> MembershipAttack:
    inside, outside = (
        label_confidences(logits, rows.labels)
        for logits, rows in ((train, subject.train), (test, subject.test))
    )
    if shadows is None:
        return loss_threshold_attack(np.logaddexp(0, -inside), np.logaddexp(0, -outside))
    scores = offline_scores(np.concatenate([inside, outside]), shadows.confidences, shadows.members)
    return membership_attack(scores, np.arange(scores.size) < inside.size)


def _train(subject: Classifier, epsilon: float, seed: int) -> PrivateTraining:
    rows = len(subject.train.labels)
    batch_size = min(rows, _BATCHES * subject.batch_size)
    return train_private(
        subject.make_model,
        subject.train.features,
        subject.train.labels,
        epsilon=epsilon,
        delta=0.1 / rows,
        batch_size=batch_size,
        steps=max(1, round(subject.steps * subject.batch_size / batch_size)),
        learning_rate=_RATES * subject.learning_rate,
        seed=seed,
    )


def _measures(private, attack, right, own) -> list[Measure]:
    kind, weaker = attack
    accuracies = [
        (name, hits.mean(), wilson_interval(float(hits.sum()), float(hits.size)))
        for name, hits in (("this model", own), ("private model", right))
    ]
    return [
        Measure(
            "ε of a private training",
            private.epsilon,
            good=f"1 is strong, 8 usual, beyond 20 little is promised (δ = {private.delta:.0e})",
        ),
        *(
            Measure(
                f"accuracy on test, {name}",
                float(share),
                float(ends.low),
                float(ends.high),
                unit="share",
                good="what privacy costs is the difference",
            )
            for name, share, ends in accuracies
        ),
        Measure(
            f"area under the ROC ({kind}, private model)",
            weaker.auc,
            weaker.auc_low,
            weaker.auc_high,
            good="near 0.5, which is chance",
        ),
    ]


def _promise(private: PrivateTraining, right: np.ndarray, own: np.ndarray) -> str:
    bound = true_positive_bound(0.01, private.epsilon, private.delta)
    promise = (
        f"no attack whatsoever finds more than {percent(bound)} of the members at 1 % false alarms"
        if bound < 0.95
        else "what the model says hangs by no more than that on any one row. At 1 % false alarms "
        "this excludes no attack yet; an ε of 3 would bound it to 20 %"
    )
    return (
        f"A private training (DP-SGD, ε = {private.epsilon:.1f}, δ = {private.delta:.0e}) of the "
        f"same kind of model reaches {percent(right.mean())} on test instead of "
        f"{percent(own.mean())}, "
        f"and promises: {promise}. What was taken from the rows before, such as means to scale "
        "them by "
        "or settings chosen by them, is not in this promise. `train_private` of "
        "xentjax.audit.private_training makes one; more rows and larger batches make it cheaper."
    )
