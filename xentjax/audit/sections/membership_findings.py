"""How membership attacks are told: measures with verdicts, tables, pictures and words."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.membership import MembershipAttack
from xentjax.audit.section import Grid, Measure, Picture, Verdict, picture
from xentjax.audit.sections.bounds import below, between, judged, mild
from xentjax.audit.sections.wording import percent, round_percent
from xentjax.audit.shadows import Shadows
from xentjax.plots.membership import draw_membership_roc, draw_membership_scores

# Of a member and another row the member is picked in 6 of 10 pairs instead of 5.
_AUC_BOUND = 0.6
# Five times chance where one row in a hundred is accused wrongly.
_FOUND_BOUND = 0.05
# So far from ½ an attack that ought to find nothing shows that the splits differ; the interval
# alone would say so in one of twenty audits.
_NULL_BOUND = 0.05
_ONE_PERCENT = 1  # the place of the 1 % among the operating points

Attacks: TypeAlias = Mapping[str, MembershipAttack]


def attack_measures(name: str, attack: MembershipAttack) -> list[Measure]:
    """The area of one attack, and what it finds at 1 % false alarms, where that can be known."""
    measures = [
        judged(
            f"area under the ROC ({name})",
            (attack.auc, attack.auc_low, attack.auc_high),
            below(_AUC_BOUND),
            why="0.5 is chance",
        )
    ]
    point = attack.points[_ONE_PERCENT]
    if point.resolved:
        measures.append(
            judged(
                f"members found at 1 % false alarms ({name})",
                (point.true_positive_rate, point.low, point.high),
                # Of few others the threshold may accuse that many as well.
                below(_FOUND_BOUND, act=max(_FOUND_BOUND, point.false_positive_high)),
                unit="share",
                why="1 % is chance",
            )
        )
    return measures


def null_measure(name: str, null: MembershipAttack) -> Measure:
    """The area of an attack where there is nothing to find; judged only if it finds something."""
    label, found = f"null: area under the ROC ({name})", (null.auc, null.auc_low, null.auc_high)
    if _finds_something(null):
        nothing = mild(between(0.5 - _NULL_BOUND, 0.5 + _NULL_BOUND))
        return judged(label, found, nothing, why="there is nothing to find")
    return Measure(label, *found, good="near 0.5: there is nothing to find")


def _finds_something(null: MembershipAttack) -> bool:
    return null.auc_low > 0.5 + _NULL_BOUND or null.auc_high < 0.5 - _NULL_BOUND


def unresolved_rates(attacks: Attacks) -> list[str]:
    """The rates that so few non-members cannot show."""
    missing = {
        (point.wanted, attack.nonmember_scores.size)
        for attack in attacks.values()
        for point in attack.points
        if not point.resolved
    }
    return [
        f"Members found at {round_percent(rate)} false alarms: with {others} non-members a rate is "
        f"known in steps of 1 / {others}, so the table gives it at no false alarm at all. Remedy: "
        "at least "
        f"{round(1 / rate)} held-out rows."
        for rate, others in sorted(missing)
    ]


def attack_table(attacks: Attacks) -> Grid:
    """All attacks in one table."""
    rows = []
    for name, attack in attacks.items():
        cells = [
            percent(point.true_positive_rate) + ("" if point.resolved else " *")
            for point in attack.points
        ]
        area = f"{attack.auc:.3f} ({attack.auc_low:.3f} to {attack.auc_high:.3f})"
        advantage = f"{attack.advantage:.3f} ({attack.advantage_at_chance:.3f})"
        rows.append((name, area, advantage, *cells))
    return Grid(
        "All attacks, and the same where there is nothing to find",
        ("attack", "area (95 %)", "advantage (chance)", "found at 0.1 %", "found at 1 %"),
        rows,
        note="Advantage: the best threshold's found members less its false alarms; being a maximum "
        "it exceeds what stands in brackets in 1 of 20 cases by chance alone. * at no false alarm "
        "at all: too few non-members for the rate asked for.",
    )


def most_exposed_rows(subject: Classifier, cohort: Shadows) -> Grid:
    """The rows of which shadow models that saw them are surest compared with those that did not."""
    inside, outside = (
        np.mean(cohort.confidences, axis=0, where=mask)
        for mask in (cohort.members, ~cohort.members)
    )
    labels = np.concatenate([subject.train.labels, subject.test.labels])
    train = len(subject.train.labels)
    rows = [
        (
            f"train {row}" if row < train else f"test {row - train}",
            subject.class_names[labels[row]],
            percent(1 / (1 + np.exp(-inside[row]))),
            percent(1 / (1 + np.exp(-outside[row]))),
        )
        for row in np.argsort(outside - inside)[:5]
    ]
    return Grid(
        "The most exposed rows",
        ("row", "label", "sureness if trained on it", "if not"),
        rows,
        note="Typical probability of the label under shadow models. A row whose label only those "
        "know that saw it is learned by heart: often rare, ambiguous or wrongly labelled.",
    )


def attack_pictures(attacks: Attacks, nulls: Attacks) -> list[Picture]:
    """The ROC of all attacks with one null, and the scores of the strongest."""
    name, strongest = max(attacks.items(), key=lambda item: item[1].auc)
    score = "−loss (nats)" if name.startswith("losses") else "likelihood-ratio score"
    chance = dict(list(nulls.items())[-1:]) if len(attacks) > 1 else {}
    drawn = {**attacks, **{f"null: {name}": null for name, null in chance.items()}}
    return [
        picture(
            "How many members are found, and how many others are accused",
            "Both axes are logarithmic. On the dashed line an attack is chance; the higher above "
            "it a curve runs at the left, the surer a few members are found. Bars are 95 % "
            "intervals.",
            draw_membership_roc,
            drawn,
        ),
        picture(
            f"Scores of the strongest attack ({name})",
            f"Members (line) and others (filled). They overlap so far that of a member and "
            f"another row the member has the higher score in {percent(strongest.auc)} of the "
            "pairs. The outermost bars hold all that lies beyond.",
            _draw_scores(score),
            strongest,
        ),
    ]


def _draw_scores(score: str):
    return lambda attack, file: draw_membership_scores(attack, file, score=score)


def attack_finding(attacks: Attacks, shadows: int) -> str:
    """What was found, the strongest attack first."""
    own = attacks["losses, this model"]
    if "likelihood ratio, shadow models" not in attacks:
        return (
            "Shown a row of the training data and one that is not, an attacker who knows the "
            f"losses picks the right one in {_share(own)} of the cases; a coin: 50 %."
        )
    alike = attacks["likelihood ratio, shadow models"]
    this = attacks["likelihood ratio, this model"]
    text = (
        "Shown a row of the training data and one that is not, an attacker with "
        f"{shadows} shadow models picks the right one in {_share(alike)} of the cases on models "
        f"trained alike, {percent(this.auc)} on this one; a coin: 50 %."
    )
    point = alike.points[_ONE_PERCENT]
    if point.resolved:
        text += (
            f" It finds {percent(point.true_positive_rate)} of the members "
            f"({percent(point.low)} to {percent(point.high)}) while accusing 1 % of the others "
            "(chance: 1 %)."
        )
    return f"{text} From the losses alone: {_share(own)}."


def _share(attack: MembershipAttack) -> str:
    return f"{percent(attack.auc)} ({percent(attack.auc_low)} to {percent(attack.auc_high)})"


def attack_advice(verdict: Verdict, nulls: Attacks) -> list[str]:
    """What to do next."""
    advice = []
    if any(_finds_something(null) for null in nulls.values()):
        advice.append(
            "An attack found something where there is nothing (see null): the splits may differ "
            "in more than membership, so take the other figures with care. See the section on "
            "data quality."
        )
    if verdict in ("act", "watch"):
        advice += [
            "Where it is a harm to be known as a member (patients, customers), do not publish the "
            "model or its probabilities as it is: train with differential privacy (--private "
            "shows what that costs).",
            "Learn less by heart: stop earlier, more dropout or weight decay, more rows. Then "
            "audit again.",
        ]
    advice.append(
        "Attacks that fail prove no privacy: stronger ones may come. A bound on all of them gives "
        "only a training with differential privacy."
    )
    return advice
