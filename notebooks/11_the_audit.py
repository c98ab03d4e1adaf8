# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: all
#     notebook_metadata_filter: all
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# # The audit: what a low loss may hide
#
# At the end of this notebook you can
#
# - tell overfitting from bad luck, and say what more data would bring;
# - make a model's confidence honest, and promise something about its answers;
# - ask whether groups are treated alike, and know what chance alone would show;
# - find wrong labels, and find out whether training rows can be told from others;
# - train with a promise of privacy, and say what it costs;
# - see what a decision rests on, and how little it takes to overturn it.
#
# One small network, trained on a few hundred digits, is asked nine questions. Each number
# comes with an interval, and where a danger could be seen in noise we look at noise too. The
# functions take arrays, so they work on any model that gives logits. A minute or two on a laptop,
# with `pip install "xentjax[demo,privacy]"`.

# %%
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

from xentjax.audit.attack_curves import attack_curve
from xentjax.audit.attacks import fgsm, pgd, random_signs
from xentjax.audit.calibration import measure_calibration
from xentjax.audit.class_scores import read_class_scores
from xentjax.audit.cohort import train_cohort
from xentjax.audit.conformal import fit_aps
from xentjax.audit.coverage import set_coverage
from xentjax.audit.cross_validation import out_of_fold_logits
from xentjax.audit.fairness import fairness_gaps
from xentjax.audit.fit_state import fit_verdict
from xentjax.audit.groups import group_rates
from xentjax.audit.label_errors import find_label_errors, probabilities
from xentjax.audit.learning_curve import train_learning_curve
from xentjax.audit.likelihood_ratio import leave_one_out_scores
from xentjax.audit.membership import membership_attack
from xentjax.audit.out_of_distribution import detect, energy_score, max_softmax_score
from xentjax.audit.overfitting import generalization, outcomes, reference_losses
from xentjax.audit.private_training import train_private
from xentjax.audit.saliency import integrated_gradients
from xentjax.audit.scaling import fit_temperature
from xentjax.audit.selective import choose_threshold, risk_coverage, select
from xentjax.audit.shadows import train_shadows
from xentjax.data import load_digits, stratified_split
from xentjax.models import MLP, MLPConfig

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def told(estimate):
    """A share and its 95 % interval."""
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def show(panel, pixels, title=""):
    """A digit."""
    panel.imshow(pixels.reshape(8, 8), cmap="gray_r")
    panel.set(xticks=[], yticks=[])
    panel.grid(visible=False)
    panel.set_title(title, fontsize=9, loc="center")


# %% [markdown]
# ## The model
#
# 1797 handwritten digits of 8 × 8 pixels in three parts: 300 to train on, the rest in halves, one
# to tune with and one to report on. So little to train on makes for trouble, and much to test on
# lets us see it. `train_cohort` trains many models in one compiled program; here it trains one.

# %%
digits = load_digits()
split = stratified_split(digits.labels, fractions=(1 / 6, 5 / 12, 5 / 12), seed=0)
(x, y), (x_val, y_val), (x_test, y_test) = (
    (digits.features[rows].astype(np.float32), digits.labels[rows].astype(np.int32))
    for rows in (split.train, split.validation, split.test)
)


def make_model(key):
    return MLP(MLPConfig(in_features=64, hidden_features=(64,)), rngs=nnx.Rngs(key))


TRAINING = {"steps": 400, "batch_size": 64, "learning_rate": 2e-2}
cohort = train_cohort(make_model, x, y, members=np.ones((1, len(x)), bool), **TRAINING)
logits, logits_val, logits_test = (cohort.logits(rows)[0] for rows in (x, x_val, x_test))
print("right in training:", (logits.argmax(1) == y).mean())

# %% [markdown]
# It makes no mistake on what it has seen. That says nothing, and everything below is about what it
# does not say.
#
# ## 1. Has it learned the rule, or the rows?
#
# The loss in training against the loss on test, with a bootstrap interval of the difference. The
# scale is what a model would lose that only knows how often each class comes.

# %%
scored = [outcomes(*part) for part in ((logits, y), (logits_val, y_val), (logits_test, y_test))]
found = generalization(*scored, references=reference_losses(y, classes=10), resamples=1000)
for part in found.splits:
    print(f"{part.name:10} loss {part.loss.value:.4f} nats, right in {told(part.accuracy)}")
gap = found.loss_gap
print(f"gap {gap.value:.3f} nats ({gap.low:.3f} to {gap.high:.3f})")
verdict = fit_verdict(found)
print("verdict:", verdict.state)
print(*verdict.reasons, sep="\n")

# %% [markdown]
# The gap is real: its interval is far from 0. Is it large? The rules allow a tenth of the 2.3 nats
# of a model that knows nothing, and five points of accuracy. Where an interval straddles its
# bound the verdict is "unclear", with the number of rows that would settle it. Would more
# training data close the gap? We can ask by training on less.

# %%
curve = train_learning_curve(
    make_model, x, y, x_test, y_test, sizes=(40, 75, 150, len(x)), repeats=4, **TRAINING
)
figure, axes = plt.subplots(figsize=(6.8, 3.6))
axes.plot(curve.sizes, curve.losses, "o", color=BLUE, ms=4)
axes.plot(curve.sizes, curve.losses.mean(1), color=BLUE, label="test")
axes.plot(curve.sizes, curve.train_losses.mean(1), "o-", color=ORANGE, ms=4, label="training")
axes.set(xscale="log", xlabel="training rows", ylabel="loss in nats")
axes.set(title="More data still lowers the test loss", ylim=(0, None))
axes.set_xticks(curve.sizes, [str(size) for size in curve.sizes])
axes.minorticks_off()
axes.legend()
plt.show()
for size, loss in zip(curve.sizes, curve.loss, strict=True):
    print(f"{size:4} rows: {loss.value:.3f} nats ({loss.low:.3f} to {loss.high:.3f})")

# %% [markdown]
# The training loss is at the bottom for every size: nothing is left to learn from these rows. The
# test loss still falls, though less at the last doubling. This model wants data, not another
# optimizer.
#
# ## 2. Is it as often right as it says?
#
# Confidence is the probability of the likeliest class. In bins of confidence we count how often it
# was right. A temperature divides all logits by one number; it is fitted on the validation rows,
# and it changes no decision.

# %%
scaling = fit_temperature(logits_val, y_val)
before = measure_calibration(logits_test, y_test)
after = measure_calibration(scaling.apply(logits_test), y_test)
print(f"temperature {scaling.temperature:.2f} ± {scaling.standard_error:.2f}")
for name, found in (("as trained", before), ("scaled", after)):
    print(f"{name:10} says {found.confidence:.1%}, is right in {told(found.accuracy)}")
    print(f"           calibration error {told(found.error)}, loss {found.nats:.4f} nats")
print(f"chance alone stays below {before.chance_error:.1%} and {after.chance_error:.1%}")

# %%
figure, axes = plt.subplots(figsize=(6.8, 4.2))
axes.plot([0.3, 1], [0.3, 1], "--", color=GREY, lw=1)
for found, name, color, shift in ((before, "as trained", ORANGE, -3), (after, "scaled", BLUE, 3)):
    d = found.diagram
    held = d.count > 4
    reach = np.abs([d.accuracy[held] - d.low[held], d.high[held] - d.accuracy[held]])
    axes.errorbar(d.confidence[held], d.accuracy[held], reach, fmt="o", color=color, label=name)
    for place, height, count in zip(d.confidence[held], d.low[held], d.count[held], strict=True):
        axes.annotate(
            str(count), (place, height), (shift, -12), textcoords="offset points",
            fontsize=8, color=color, ha="right" if shift < 0 else "left",
        )  # fmt: skip
axes.text(0.97, 0.36, "too sure of itself", color=GREY, ha="right", style="italic")
axes.set(xlabel="confidence", ylabel="share that was right", xlim=(0.3, 1.02), ylim=(0, 1.03))
axes.set_title("Below the line the model promises more than it keeps (rows at each point)")
axes.legend(loc="lower right", bbox_to_anchor=(1, 0.02))
plt.show()

# %% [markdown]
# Most rows sit at the far right, where there is little to mend. Whiskers of the other bins are
# long, because few rows are there: a reliability diagram without them invites stories. So does an
# error without its interval: that of the model as trained reaches down to 0. What settles the
# matter is the temperature, more than two standard errors above 1, and the
# test loss, which it lowers.
#
# ## 3. Sets that keep a promise
#
# A conformal predictor gives a *set* of classes that holds the true one in 99 % of cases, whatever
# the model is worth. It needs rows that are drawn like those to come, nothing else.

# %%
predictor = fit_aps(scaling.apply(logits_val), y_val, alpha=0.01)
sets = predictor.sets(scaling.apply(logits_test))
covered = set_coverage(sets, y_test)
print("sets hold the right answer in", told(covered.coverage), "of the test rows")
print("mean size:", round(covered.mean_size, 2), "classes")
print("rows by size of the set:", np.bincount(sets.sum(1)).tolist())

# %%
doubtful = np.argsort(-sets.sum(1), kind="stable")[:8]
figure, panels = plt.subplots(1, 8, figsize=(6.8, 1.6))
for panel, row in zip(panels, doubtful, strict=True):
    members = ", ".join(str(c) for c in np.flatnonzero(sets[row]))
    show(panel, x_test[row], f"is {y_test[row]}")
    panel.set_xlabel("\n".join([members[:9], members[9:].strip(" ,")]), fontsize=8)
figure.suptitle("The largest sets, below each digit")
plt.show()

# %% [markdown]
# The size of a set tells a user what a single answer hides. These are digits over which people
# would hesitate too.
#
# ## 4. What to hand over
#
# If doubtful rows can go to a human, how many mistakes are left? And from which confidence on can
# 99 % accuracy be promised? The threshold is proven on validation rows by an exact binomial test.

# %%
val, test = (read_class_scores(*rows) for rows in ((logits_val, y_val), (logits_test, y_test)))
risk = risk_coverage(test.log_confidence, test.correct)
threshold = choose_threshold(val.log_confidence, val.correct, accuracy=0.99)
kept = select(threshold, test.log_confidence, test.correct)
print(f"proven: {threshold.proven}, confidence at least {np.exp(threshold.confidence):.4f}")
print(f"decides {told(kept.coverage)} of the test rows, right in {told(kept.accuracy)}")

figure, axes = plt.subplots(figsize=(6.8, 3.4))
axes.plot(risk.coverage, risk.risk, color=BLUE, label="surest rows first")
axes.plot(risk.coverage, risk.best_risk, color=GREEN, label="if it knew its mistakes")
axes.axhline(risk.risk[-1], color=GREY, ls="--", lw=1, label="rows in random order")
axes.plot(kept.coverage.value, 1 - kept.accuracy.value, "D", color=ORANGE, label="threshold")
axes.set(xlabel="share of rows the model decides", ylabel="mistakes among them", xlim=(0, 1))
axes.set_title("Mistakes sit where confidence is low")
axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
axes.legend(loc="center left")
plt.show()

# %% [markdown]
# A threshold protects against doubt, and only as far as the model doubts. So we show it something
# that is none of its classes: the test digits lying on their side. Half of the pairs in the right
# order would be guessing.

# %%
lying = np.rot90(x_test.reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64)
logits_lying = cohort.logits(lying)[0]
for name, score in (("max softmax", max_softmax_score), ("energy", energy_score)):
    strangers = detect(score(logits_test), score(logits_lying), calibration=score(logits_val))
    print(f"{name:12} pairs in order {told(strangers.auroc)}")
    print(f"{'':12} strangers let in where 95 % of digits are {told(strangers.false_alarm)}")

# %% [markdown]
# Worse than guessing: the model is *surer* of the strangers. Training shaped the logits where
# upright digits lie, and elsewhere nothing holds them down: the energy, which grows with them, is
# more misled still. Confidence says how well an input fits one class rather than the others. It
# does not say that the input is a digit. (The 9s of notebook 3 were milder strangers.)

# %% [markdown]
# ## 5. Is every group treated alike?
#
# Our groups are digits of a faint, a middling and a bold stroke, by the ink on the page. The best
# group always beats the worst one, even where nothing is wrong: with three groups somebody must be
# last. So `fairness_gaps` shuffles the names of the groups and says what *chance* would show.

# %%
ink = x_test.sum(1)
strokes = np.array(["faint", "middling", "bold"])[
    np.digitize(ink, np.quantile(ink, [1 / 3, 2 / 3]))
]
coins = np.random.default_rng(0).permutation(strokes)
guesses = logits_test.argmax(1)
gaps = {}
for name, groups in (("stroke", strokes), ("names shuffled", coins)):
    gaps[name] = fairness_gaps(
        guesses, y_test, groups, classes=10, resamples=500
    ).accuracy_difference
    print(f"{name:15} best − worst accuracy {told(gaps[name].found)}, "
          f"chance stays below {gaps[name].chance:.1%}, p = {gaps[name].p_value:.2f}")  # fmt: skip

# %%
figure, panels = plt.subplots(1, 2, figsize=(6.8, 2.8), sharex=True, sharey=True)
for panel, (name, groups) in zip(
    panels, (("by stroke", strokes), ("names shuffled", coins)), strict=True
):
    rates = group_rates(guesses, y_test, groups, classes=10)
    value, low, high = rates.accuracy
    panel.errorbar(value, range(3), xerr=[value - low, high - value], fmt="o", color=BLUE)
    panel.axvline(test.correct.mean(), color=GREY, ls="--", lw=1)
    panel.set_yticks(range(3), rates.groups)
    panel.set(title=name, xlabel="accuracy", ylim=(-0.5, 2.5))
    panel.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
plt.show()

# %% [markdown]
# A gap counts when it exceeds what chance shows, not when it exceeds 0. Here the gap between
# strokes does not, any more than that between shuffled names. That accuses nobody, and acquits
# nobody either: with 250 rows a group a gap of six points cannot be ruled out.
#
# ## 6. Are the labels right?
#
# We turn 20 labels of the training rows into wrong ones and try to find them. Every row is judged
# by models that did not see it (five folds); confident learning then marks those whose label a
# sure model contradicts.

# %%
rng = np.random.default_rng(1)
spoiled = rng.choice(len(y), 20, replace=False)
given = y.copy()
given[spoiled] = (y[spoiled] + rng.integers(1, 10, 20)) % 10
planted = np.isin(np.arange(len(y)), spoiled)

held_out = out_of_fold_logits(make_model, x, np.stack([y, given]), folds=5, together=10, **TRAINING)
clean = find_label_errors(probabilities(held_out[0]), y)
suspects = find_label_errors(probabilities(held_out[1]), given)
print(f"clean labels:   {clean.both.sum()} rows marked")
print(
    f"spoiled labels: {suspects.both.sum()} rows marked, {(suspects.both & planted).sum()} of them"
)
print("                among the 20 planted")

# %%
first = suspects.ranked(suspects.both)[:12]
figure, panels = plt.subplots(2, 6, figsize=(6.8, 3.0))
for panel, row in zip(panels.flat, first, strict=True):
    show(panel, x[row], f"says {given[row]}, is {suspects.suggested[row]}?")
    panel.spines[:].set(visible=True, color=ORANGE if planted[row] else GREY, linewidth=2)
figure.suptitle("The most suspicious labels (orange: planted)")
plt.show()

# %% [markdown]
# The clean labels are the null: what is marked there are hard rows, or errors of the data set's
# own. So a mark is a suspicion, and somebody must look. That is cheap: a list of some thirty rows
# holds most of what was planted among 300, and its top is nearly all planted.
#
# ## 7. Can it be told who was in the training data?
#
# The simple attack says "member" where the loss is low. The strong one, LiRA, trains shadow models
# with and without each row and asks which of the two a loss looks like. Sixteen shadows on halves
# of 600 rows attack each other in turn. Look at few false accusations, on the left of a picture
# with logarithmic axes: an attack that is sure of a few members harms those few.

# %%
pool_x, pool_y = np.concatenate([x, x_test[:300]]), np.concatenate([y, y_test[:300]])
shadows = train_shadows(make_model, pool_x, pool_y, models=16, **TRAINING)
ratio = leave_one_out_scores(shadows.confidences, shadows.members)
members = shadows.members.reshape(-1)
# The loss is log(1 + e^−φ) of the log-odds φ: a threshold on one is a threshold on the other.
loss_scores = shadows.confidences.reshape(-1)
shuffled = np.random.default_rng(2).permutation(members)
attacks = {
    "likelihood ratio": membership_attack(ratio.reshape(-1), members),
    "loss threshold": membership_attack(loss_scores, members),
    "members shuffled": membership_attack(ratio.reshape(-1), shuffled),
}
for name, attack in attacks.items():
    point = attack.points[0]
    print(f"{name:17} AUC {attack.auc:.3f}, at {point.wanted:.1%} false accusations finds "
          f"{point.true_positive_rate:.2%} ({point.low:.2%} to {point.high:.2%})")  # fmt: skip

# %%
figure, axes = plt.subplots(figsize=(6.0, 4.4))
for (name, attack), color in zip(attacks.items(), (BLUE, ORANGE, GREY), strict=True):
    axes.plot(attack.false_positive_rates, attack.true_positive_rates, color=color, label=name)
axes.plot([1e-4, 1], [1e-4, 1], ":", color="black", lw=1)
axes.set(xscale="log", yscale="log", xlim=(3e-4, 1), ylim=(3e-4, 1.1))
axes.set(xlabel="share of others accused", ylabel="share of members found")
axes.set_title("The loss alone accuses nobody for sure; the ratio does")
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# The dotted line is guessing. The shuffled members lie on it, as far as chance lets them, so the
# attack has not found itself. The loss looks harmless too, and only because it is the weaker
# attack: an AUC near ½ is no proof of privacy. What matters is the left end.
#
# **DP-SGD** is a promise in place of an attack: gradients of single rows are clipped and drowned in
# noise, so that no attack whatever can tell much about a row. How much is ε, counted by the
# accountant of jax-privacy. The rows for tuning join in, as privacy wants many rows.

# %%
own_x, own_y = np.concatenate([x, x_val]), np.concatenate([y, y_val])
private = train_private(
    make_model, own_x, own_y, epsilon=3.0, delta=1e-4,
    batch_size=256, steps=150, learning_rate=2e-2,
)  # fmt: skip
everyone = np.ones((1, len(own_x)), bool)
usual = train_cohort(make_model, own_x, own_y, members=everyone, **TRAINING)
print(f"ε = {private.epsilon:.1f} at δ = {private.delta}: noise {private.noise_multiplier:.1f}")
for name, seen, unseen in (
    ("usual", usual.logits(own_x)[0], usual.logits(x_test)[0]),
    ("private", private.logits(own_x), private.logits(x_test)),
):
    parts = [outcomes(seen, own_y), outcomes(seen, own_y), outcomes(unseen, y_test)]
    found = generalization(*parts, references=reference_losses(own_y, classes=10), resamples=1000)
    gap = found.loss_gap
    print(f"{name:8} right in {told(found.splits[-1].accuracy)} of the test rows")
    print(f"{'':8} gap of the losses {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})")

# %% [markdown]
# The price is some points of accuracy. What it buys is seen in the gap: the usual training gives
# its own rows away by their loss, the private one shows no gap that could be told from 0. And
# unlike the attack's figure the promise also holds against attacks that nobody has thought of yet.
#
# ## 8. What does a decision rest on?
#
# Integrated gradients divide the score of a class among the pixels, so that they add up to its
# difference to a blank page. We look at mistakes: what spoke for the wrong answer, what for the
# right one?

# %%
model = cohort.state(0).to_model()
wrong = np.flatnonzero(~test.correct)[:4]
explained = {
    "answer": integrated_gradients(model, x_test[wrong], guesses[wrong]),
    "truth": integrated_gradients(model, x_test[wrong], y_test[wrong]),
}
figure, panels = plt.subplots(3, len(wrong), figsize=(5.6, 4.6))
for column, row in enumerate(wrong):
    show(panels[0, column], x_test[row], f"is {y_test[row]}, read as {guesses[row]}")
    for line, (name, found) in enumerate(explained.items(), start=1):
        values = found.attributions[column].reshape(8, 8)
        panel, size = panels[line, column], np.abs(values).max()
        panel.imshow(values, cmap="RdBu_r", vmin=-size, vmax=size)
        panel.set(xticks=[], yticks=[])
        panel.grid(visible=False)
        panel.set_title(
            f"for {(guesses if name == 'answer' else y_test)[row]}", fontsize=9, loc="center"
        )
figure.suptitle("Red pixels speak for a class, blue ones against it")
plt.show()
print("largest error of the sum:", f"{max(np.abs(f.gap).max() for f in explained.values()):.4f}")

# %% [markdown]
# ## 9. How little does it take?
#
# FGSM takes one step up the slope of the loss, PGD many, and random signs of the same size show
# what is the direction's and what the size's. ε is a share of the range of a pixel.

# %%
epsilons = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3]
box = {"low": 0.0, "high": 1.0}
kinds = {
    "random signs": (partial(random_signs, key=jax.random.key(0), **box), GREY),
    "one step (FGSM)": (partial(fgsm, **box), ORANGE),
    "many steps (PGD)": (partial(pgd, key=jax.random.key(1), **box), BLUE),
}
figure, axes = plt.subplots(figsize=(6.8, 3.6))
for name, (attack, color) in kinds.items():
    hit = attack_curve(model, x_test[:300], y_test[:300], epsilons, attack)
    axes.plot(hit.epsilons, hit.accuracy, "o-", color=color, ms=4, label=name)
    axes.fill_between(hit.epsilons, hit.low, hit.high, color=color, alpha=0.15, lw=0)
    print(f"{name:17}", " ".join(f"{share:.0%}" for share in hit.accuracy))
axes.axhline(0.1, color=GREY, ls=":", lw=1)
axes.set(xlabel="change of each pixel, as a share of its range", ylabel="accuracy", ylim=(0, 1.02))
axes.set_title("Noise does little, a chosen change of the same size much")
axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
axes.legend(loc="center right")
plt.show()

# %% [markdown]
# Noise of a tenth of the range costs next to nothing. A chosen change of the same size leaves
# about a third of the answers standing, and one step finds most of it: seen from a row, the loss is
# nearly a plane.

# %%
step = pgd(model, x_test[:6], y_test[:6], 0.1, key=jax.random.key(1), **box)
read = np.asarray(model(step)).argmax(1)
figure, panels = plt.subplots(2, 6, figsize=(6.8, 2.9))
for column in range(6):
    show(panels[0, column], x_test[column], f"read as {guesses[column]}")
    show(panels[1, column], np.asarray(step[column]), f"read as {read[column]}")
figure.suptitle("Six digits before and after PGD with ε = 0.1")
plt.show()

# %% [markdown]
# ## The page
#
# All of this, with verdicts, advice and what could *not* be measured, is one command. Train, then
# audit:
#
# ```
# xentjax train digits --name digits
# xentjax audit runs/digits
# ```
#
# It writes a page, the same as JSON, and a summary in the terminal. A section says "good" only
# where the whole interval is good; where there are too few rows to tell, it says how many would do.
#
# ## Exercises
#
# **1. A threshold for more.** Ask `choose_threshold` for 99.9 %. Is it proven? How many rows would
# it take, all of them right?
#
# <details><summary>Answer</summary>
#
# It is not: `rows_needed` is 2995. With n rows right, 99.9 % is shown at 95 % confidence once
# $0.999^n \le 0.05$, so n ≥ log 0.05 / log 0.999 = 2994.2. We have 750.
#
# </details>
#
# **2. A gap of chance.** Shuffle the groups with other seeds and count how often p is below 0.05.
# How often should it be?
#
# <details><summary>Answer</summary>
#
# In about one of twenty. Who looks at twenty groupings finds one gap where there is none: say how
# many you looked at.
#
# </details>
#
# **3. Why the ratio wins.** All attacks of section 7 see the same rows. Why does the loss
# threshold find fewer members at few false accusations?
#
# <details><summary>Answer</summary>
#
# Easy rows have a low loss whether they were trained on or not, and fill the top of the list. The
# ratio compares a row with itself: it is high where the loss is low *for this row*.
#
# </details>
