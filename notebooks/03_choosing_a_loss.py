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
# # Choosing a loss
#
# At the end of this notebook you can
#
# - look at a loss and say which examples it listens to;
# - choose a loss for rare classes, wrong labels, ordered classes and several labels at once;
# - judge it by the number that fits the problem, which is seldom the loss itself;
# - tell a difference between two losses from luck;
# - name the cheaper thing to try before you change the loss.
#
# Start with cross-entropy. Change it when you can say what is wrong. Each section below has one
# thing that is wrong, and real data: scikit-learn's digits and its diabetes patients. About a
# minute on one core.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from scipy.stats import t as student
from sklearn.datasets import load_diabetes

from xentjax import losses, metrics
from xentjax.data import load_digits

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"
SEEDS = 8

# %% [markdown]
# ## 1. Which examples a loss listens to
#
# Training follows the gradient. So the question is not how large a loss is, but how hard an example
# pulls. We draw both against the margin, the lead of the label over the other of two classes.

# %%
margin = jnp.linspace(-8.0, 8.0, 201)
two_logits = jnp.stack([margin, jnp.zeros_like(margin)], axis=-1)
shapes = {
    "cross-entropy": (losses.softmax_cross_entropy, BLUE),
    "focal": (losses.focal_loss, GREEN),
    "generalized": (losses.generalized_cross_entropy, ORANGE),
    "hinge": (losses.multiclass_hinge_loss, GREY),
}

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
for name, (loss, color) in shapes.items():
    values, slopes = jax.vmap(jax.value_and_grad(lambda x, loss=loss: loss(x, 0)))(two_logits)
    left.plot(margin, values, color=color, lw=2, label=name)
    right.plot(margin, -slopes[:, 0], color=color, lw=2)
left.set(ylim=(0, 6), xlabel="margin of the label", ylabel="loss", title="The loss")
right.set(xlabel="margin of the label", ylabel="pull on the label's logit")
right.set(ylim=(0, 1.4), title="Whom it listens to")
right.text(-7.8, 1.32, "wrong and sure", color=GREY, va="top")
right.text(7.8, 1.32, "right and sure", color=GREY, va="top", ha="right")
left.legend()
plt.show()

# %% [markdown]
# Cross-entropy listens to every mistake with full force, and a little to what is already right.
# Focal loss turns away sooner from what is right. Generalized cross-entropy turns away from what
# is *hopelessly wrong*: it takes such a label for a slip of the pen. The hinge stops dead once the
# margin is 1.
#
# ## 2. A small laboratory
#
# One network with a hidden layer of 64, trained with Adam. Each seed has its own split of the
# data, weights and batches, the same for all losses. `jax.lax.switch` picks the loss, so the losses
# and seeds of a section are one compiled program: compiling takes longer here than training.


# %%
def train(choices, x, y, probe, outputs, *, columns=None, steps=600, checks=1, width=64, rate=3e-3):
    """Trains a network for each loss and seed: x [S, N, F], y [S, N, …], probe [S, M, F].

    Returns the logits on probe [S, checks, M, outputs] by the name of the loss. With columns=1 all
    outputs share one score and differ by their bias alone.
    """
    features, columns, optimizer = x.shape[-1], columns or outputs, optax.adam(rate)

    def network(params, x):
        hidden = jax.nn.relu(x @ params["w1"] + params["b1"])
        return hidden @ params["w2"] + params["b2"]

    def mean_loss(params, which, x, y):
        means = [lambda *a, loss=loss: jnp.mean(loss(*a)) for loss in choices.values()]
        return jax.lax.switch(which, means, network(params, x), y)

    def run(which, seed, x, y, probe):
        keys = jax.random.split(jax.random.key(seed), 3)
        params = {
            "w1": jax.random.normal(keys[0], (features, width)) * (2 / features) ** 0.5,
            "b1": jnp.zeros(width),
            "w2": jax.random.normal(keys[1], (width, columns)) / width**0.5,
            "b2": jnp.zeros(outputs),
        }

        def step(state, rows):
            params, moments = state
            gradient = jax.grad(mean_loss)(params, which, x[rows], y[rows])
            updates, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(params, updates), moments), None

        def stretch(state, batches):
            state, _ = jax.lax.scan(step, state, batches)
            return state, network(state[0], probe)

        batches = jax.random.randint(keys[2], (checks, steps // checks, 64), 0, len(x))
        return jax.lax.scan(stretch, (params, optimizer.init(params)), batches)[1]

    @jax.jit
    def run_all(*parts):
        def of_seed(part):
            return jax.lax.map(lambda which: run(which, *part), jnp.arange(len(choices)))

        return jax.lax.map(of_seed, parts)

    arrays = [jnp.asarray(a) for a in (x, y, probe)]
    logits = np.asarray(run_all(jnp.arange(len(x)), *arrays))
    return {name: logits[:, i] for i, name in enumerate(choices)}


# %% [markdown]
# Every table below shows the mean over the seeds with its 95 % interval, and the **paired gain**:
# the difference to the first row, seed by seed. Seeds differ among themselves by more than losses
# do. The pairing takes that out. An asterisk says that the interval leaves out 0.


# %%
def interval(values):
    """Mean and half the width of the 95 % interval."""
    values = np.asarray(values)
    quantile = student.ppf(0.975, len(values) - 1)
    return values.mean(), quantile * values.std(ddof=1) / len(values) ** 0.5


def report(unit, scores, digits=1):
    first = next(iter(scores.values()))
    print(f"{'':34}{unit:>16}   gain over the first")
    for name, values in scores.items():
        mean, half = interval(values)
        gain, gain_half = interval(values - first)
        star = " *" if abs(gain) > gain_half else ""
        paired = "" if values is first else f"{gain:+.{digits}f} ± {gain_half:.{digits}f}{star}"
        print(f"{name:34}{mean:8.{digits}f} ± {half:5.{digits}f}   {paired}")


digits = load_digits()
by_class = [np.flatnonzero(digits.labels == c) for c in range(10)]


def draw(seed, train_counts, test_count, classes=range(10)):
    """Rows for training and testing, with so many of each class."""
    rng = np.random.default_rng(seed)
    pools = [rng.permutation(by_class[c]) for c in classes]
    train = [pool[:n] for pool, n in zip(pools, train_counts, strict=True)]
    test = [pool[-test_count:] for pool in pools]
    return np.concatenate(train), np.concatenate(test)


# %% [markdown]
# ## 3. Rare classes
#
# We keep 100 images of one class and fewer and fewer of the others, down to 2. Which digit is rare
# is drawn for each seed. The test has 70 of each.
#
# A model that always says "the common class" can be right most of the time. So we do not judge by
# accuracy but by **balanced accuracy**: the mean over the classes of the share found in each.

# %%
counts = np.round(np.geomspace(100, 2, 10)).astype(int)
y_train = np.repeat(np.arange(10), counts)
y_test = np.repeat(np.arange(10), 70)
rows = [draw(s, counts, 70, np.random.default_rng(100 + s).permutation(10)) for s in range(SEEDS)]
x_train = digits.features[np.stack([r[0] for r in rows])]
x_test = digits.features[np.stack([r[1] for r in rows])]
labels = np.tile(y_train, (SEEDS, 1))
print("training images a class:", counts)


# %%
class_weights = losses.class_balanced_weights(counts)


def weighted(logits, labels):
    return losses.softmax_cross_entropy(logits, labels, class_weights=class_weights)


def adjusted(logits, labels):
    return losses.logit_adjusted_cross_entropy(logits, labels, counts)


choices = {
    "cross-entropy": losses.softmax_cross_entropy,
    "class_balanced_weights": weighted,
    "logit_adjusted_cross_entropy": adjusted,
    "focal_loss": losses.focal_loss,
}
found = {n: o[:, -1] for n, o in train(choices, x_train, labels, x_test, 10).items()}
# The cheapest cure needs no training: subtract log π from the logits that we already have.
found["cross-entropy, then − log π"] = found["cross-entropy"] - np.log(counts / counts.sum())


matrix = metrics.ConfusionMatrix(classes=10)


@jax.jit
@jax.vmap
def judge(predicted):
    confusion = matrix.compute(matrix.update(matrix.init(), predicted, y_test))
    by_class = (metrics.precision, metrics.recall, metrics.f_beta)
    return metrics.balanced_accuracy(confusion), *(score(confusion) for score in by_class)


judged = {name: [np.asarray(a) for a in judge(o.argmax(-1))] for name, o in found.items()}
report("balanced acc. %", {name: 100 * balanced for name, (balanced, *_) in judged.items()})

# %% [markdown]
# What does it cost? **Recall** is the share of a class that is found, **precision** the share of
# what is called so that is so, and **F1** their harmonic mean. For the three rarest classes:

# %%
print(f"{'':34}precision   recall   F1 (%)")
for name, (_, *of_classes) in judged.items():
    shares = [100 * of_class[:, -3:].mean() for of_class in of_classes]
    print(f"{name:34}{shares[0]:9.1f}{shares[1]:9.1f}{shares[2]:9.1f}")

# %% [markdown]
# Cross-entropy says a rare class only when it is sure, so its precision is high and its recall is
# low. The adjustment trades a little of the one for much of the other. And the accuracy at the
# frequencies of the training data, where common classes count more:

# %%
recalls = {name: recall for name, (_, _, recall, _) in judged.items()}
frequencies = counts / counts.sum()
report("accuracy %", {name: 100 * recall @ frequencies for name, recall in recalls.items()})

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.8))
styles = [BLUE, PINK, ORANGE, GREY, GREEN]
for (name, recall), color in zip(recalls.items(), styles, strict=True):
    line = "--" if "then" in name else "-"
    axes.semilogx(counts, 100 * recall.mean(0), line, marker="o", ms=4, color=color, label=name)
axes.set(xlabel="training images of the class", ylabel="found in the test (%)", ylim=(30, 101))
axes.set_xticks(counts, labels=[str(n) for n in counts], minor=False)
axes.set_xticks([], minor=True)
axes.set_title("The adjustment lifts the rare classes, focal loss does not")
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# The frequencies of the training data are a bias, and the adjustment takes it out, before or after
# training. Class weights do less: the network fits all images anyway, and then a weight changes
# little. Focal loss is for a flood of *easy* examples, and a rare class is another problem.
#
# The curves cross: what the rare classes gain, the most common ones pay. Weighted by the training's
# frequencies the two about cancel here. So if the world is as imbalanced as your data and each
# error costs the same, there is little to win, and plain cross-entropy is the right choice.
#
# ## 4. Wrong labels
#
# Two kinds of noise. **Symmetric**: 40 % of the labels are replaced by any other. **Pair**: 30 % of
# each class are taken for the next. The second is what people do: they mix up things that are
# alike. The test labels are right.

# %%
rows = [draw(s, [100] * 10, 70) for s in range(SEEDS)]
x_train = digits.features[np.stack([r[0] for r in rows])]
x_test = digits.features[np.stack([r[1] for r in rows])]
clean = np.tile(np.repeat(np.arange(10), 100), (SEEDS, 1))


def noise_matrix(kind):
    """T[i, j] = P(label j is seen | class i is true)."""
    if kind == "symmetric":
        return np.full((10, 10), 0.4 / 9) + (0.6 - 0.4 / 9) * np.eye(10)
    return 0.7 * np.eye(10) + 0.3 * np.roll(np.eye(10), 1, axis=1)


def spoil(labels, matrix):
    rng = np.random.default_rng(0)
    thresholds = matrix.cumsum(1)[labels]
    return (rng.random((*labels.shape, 1)) > thresholds).sum(-1).clip(max=9)


CHECKS, STEPS = 20, 800
curves = {}
for kind in ("symmetric", "pair"):
    matrix = noise_matrix(kind)
    seen = spoil(clean, matrix)
    print(f"{kind:9} wrong labels: {np.mean(seen != clean):.1%}")

    def corrected(logits, labels, matrix=matrix):
        return losses.forward_corrected_cross_entropy(logits, labels, matrix)

    choices = {
        "cross-entropy": losses.softmax_cross_entropy,
        "generalized_cross_entropy": losses.generalized_cross_entropy,
        "symmetric_cross_entropy": losses.symmetric_cross_entropy,
        "forward_corrected, true T": corrected,
    }
    logits = train(choices, x_train, seen, x_test, 10, steps=STEPS, checks=CHECKS)
    for name, of_loss in logits.items():
        curves[kind, name] = 100 * (of_loss.argmax(-1) == y_test).mean(-1)

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.7), sharey=True)
steps = np.arange(1, CHECKS + 1) * (STEPS // CHECKS)
for axes, kind in zip(panels, ("symmetric", "pair"), strict=True):
    for name, color in zip(list(curves)[:4], [BLUE, ORANGE, PINK, GREEN], strict=True):
        curve = curves[kind, name[1]]
        mean, half = curve.mean(0), np.array([interval(c)[1] for c in curve.T])
        axes.plot(steps, mean, color=color, lw=2, label=name[1])
        axes.fill_between(steps, mean - half, mean + half, color=color, alpha=0.15, lw=0)
    axes.set(xlabel="step", xlim=(0, STEPS), ylim=(50, 100))
panels[0].set(ylabel="right on clean test images (%)", title="40 % replaced by any other")
panels[1].set_title("30 % taken for the next class")
panels[0].legend(loc="lower right")
plt.show()

# %%
for kind in ("symmetric", "pair"):
    print(kind, "noise, after the last step")
    report("accuracy %", {name: c[:, -1] for (k, name), c in curves.items() if k == kind})
early = curves["symmetric", "cross-entropy"].mean(0)
print(
    f"\ncross-entropy, symmetric noise: at most {early.max():.1f} % (step {steps[early.argmax()]}),"
    f" at the end {early[-1]:.1f} %"
)

# %% [markdown]
# Cross-entropy first learns the digits, then learns the wrong labels by heart, and the blue curve
# turns down. **Stopping early is the first cure** and costs nothing; validation labels with the
# same noise are good enough to choose the step. A loss that is bounded holds on longer. Where
# classes are mixed up systematically, stopping helps little: there the noise matrix T, if you know
# it, is best by far. You can measure it by having some hundred examples labelled twice.
#
# ## 5. Ordered classes
#
# 442 diabetes patients, ten measurements, and how far the illness went in a year, cut into five
# equally frequent stages. To say stage 1 for stage 5 is worse than to say 4. So we judge by the
# **mean absolute error** in stages, not by accuracy.

# %%
patients = load_diabetes()
stages = np.searchsorted(np.quantile(patients.target, [0.2, 0.4, 0.6, 0.8]), patients.target)
features = (patients.data / patients.data.std(0)).astype(np.float32)
orders = [np.random.default_rng(s).permutation(442) for s in range(2 * SEEDS)]
train_rows, test_rows = np.stack([o[:300] for o in orders]), np.stack([o[300:] for o in orders])
print("patients a stage:", np.bincount(stages))


def soft(logits, labels):
    return losses.softmax_cross_entropy(logits, losses.soft_ordinal_targets(labels, 5))


def fit_stages(choices, outputs, columns=None):
    seen, probe = features[train_rows], features[test_rows]
    options = {"columns": columns, "width": 16, "steps": 400}
    trained = train(choices, seen, stages[train_rows], probe, outputs, **options)
    return {name: logits[:, -1] for name, logits in trained.items()}


logits = fit_stages({"plain": losses.softmax_cross_entropy, "soft": soft}, 5)
logits |= fit_stages({"coral": losses.coral_loss}, 4, columns=1)
logits |= fit_stages({"corn": losses.corn_loss}, 4)

# %% [markdown]
# Four ways to train, and one way to *decide* that costs nothing: from the probabilities of a plain
# softmax take not the likeliest stage but the median, which is what makes absolute errors small.

# %%
shares = np.asarray(jax.nn.softmax(logits["plain"]))
answers = np.asarray(jax.nn.sigmoid(logits["corn"]))
chosen = {
    "cross-entropy, likeliest": logits["plain"].argmax(-1),
    "cross-entropy, median": (shares.cumsum(-1) < 0.5).sum(-1),
    "soft_ordinal_targets": logits["soft"].argmax(-1),
    "coral_loss": (logits["coral"] > 0).sum(-1),
    "corn_loss": (answers.cumprod(-1) > 0.5).sum(-1),
}
truth = stages[test_rows]
absolute = {name: np.abs(stage - truth).mean(-1) for name, stage in chosen.items()}
report("abs. error", absolute, digits=3)
print()
report("accuracy %", {name: 100 * (stage == truth).mean(-1) for name, stage in chosen.items()})
print(f"\nalways the middle stage: {np.abs(truth - 2).mean():.3f} stages off")

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.4))
bottom = np.zeros(len(chosen))
names = list(chosen)[::-1]
off = {n: np.stack([(np.abs(chosen[n] - truth) == d).mean() for d in range(5)]) for n in names}
shades = ["#0072B2", "#6BAED6", "#FDD0A2", "#F08A3C", "#A63603"]
for distance, color in enumerate(shades):
    width = np.array([100 * off[n][distance] for n in names])
    label = ["right", "1 off", "2 off", "3 off", "4 off"][distance]
    axes.barh(names, width, left=bottom, color=color, label=label, height=0.7)
    bottom += width
axes.set(
    xlim=(0, 100), xlabel="patients (%)", title="CORN and the median make the far errors rarer"
)
axes.tick_params(axis="y", length=0)
axes.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.4, -0.2))
plt.show()

# %% [markdown]
# The cheapest change again holds its own: the same network, decided by the median, is off by nearly
# a tenth of a stage less. CORN trains for the order and comes out about the same. Soft targets
# change nothing to speak of here, and CORAL, with one score for all thresholds, gains less.
# Every loss is far from perfect, for ten measurements say only so much about a year.
#
# ## 6. Several labels at once
#
# We lay two or three digits on top of each other and ask which ones are in the picture. Now the
# classes do not exclude each other, and softmax, whose shares add up to 1, is the wrong question.
# One sigmoid a label asks ten yes-or-no questions. Only a quarter of the answers is yes.


# %%
def overlays(rows, n, rng):
    """n pictures of two or three different digits, the brightest pixel winning."""
    x, y = np.zeros((n, 64), np.float32), np.zeros((n, 10), np.float32)
    for i in range(n):
        wanted = rng.permutation(10)[: rng.integers(2, 4)]
        for c in wanted:
            pool = rows[digits.labels[rows] == c]
            x[i] = np.maximum(x[i], digits.features[rng.choice(pool)])
        y[i, wanted] = 1
    return x, y


PARTS = {"train": (0.0, 0.6, 3000), "validation": (0.6, 0.8, 600), "test": (0.8, 1.0, 1000)}
made = {name: [] for name in PARTS}
for seed in range(5):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits.labels))
    for name, (start, stop, n) in PARTS.items():
        cut = order[int(start * len(order)) : int(stop * len(order))]
        made[name].append(overlays(cut, n, rng))
x_of, y_of = ({n: np.stack([p[i] for p in m]) for n, m in made.items()} for i in (0, 1))
print(f"labels present: {y_of['train'].mean():.1%} of all answers")

figure, panels = plt.subplots(1, 7, figsize=(9, 1.7))
for axes, picture, present in zip(panels, x_of["test"][0], y_of["test"][0], strict=False):
    axes.imshow(picture.reshape(8, 8), cmap="gray_r")
    axes.set_axis_off()
    axes.set_title(" ".join(str(c) for c in np.flatnonzero(present)), loc="center")
plt.show()


# %%
def positives_up(logits, labels):
    return losses.sigmoid_cross_entropy(logits, labels, pos_weight=3.0)


both = np.concatenate([x_of["validation"], x_of["test"]], axis=1)
choices = {
    "sigmoid_cross_entropy": losses.sigmoid_cross_entropy,
    "…, pos_weight=3": positives_up,
    "asymmetric_loss": losses.asymmetric_loss,
}
trained = train(choices, x_of["train"], y_of["train"], both, 10, steps=1200)
probability = {n: np.asarray(jax.nn.sigmoid(o[:, -1])) for n, o in trained.items()}


def macro_f1(predicted, present):
    """F1 of each label, averaged: [S, thresholds, n, 10] and [S, 1, n, 10] → [S, thresholds]."""
    hits = (predicted & (present == 1)).sum(-2)
    return (2 * hits / np.maximum(predicted.sum(-2) + present.sum(-2), 1)).mean(-1)


thresholds = np.linspace(0.02, 0.98, 49)
f1 = {}
for name, p in probability.items():
    cut = p[:, None] > thresholds[:, None, None]
    f1[name] = [
        macro_f1(cut[:, :, :600], y_of["validation"][:, None]),
        macro_f1(cut[:, :, 600:], y_of["test"][:, None]),
    ]
seeds = np.arange(5)
half_way = np.abs(thresholds - 0.5).argmin()
report("F1 %, at 0.5", {n: 100 * test[:, half_way] for n, (_, test) in f1.items()})
print()
tuned = {n: 100 * test[seeds, valid.argmax(1)] for n, (valid, test) in f1.items()}
report("F1 %, tuned", tuned)

# %% [markdown]
# Average precision asks how well each label's pictures are *ranked*, with no threshold at all:

# %%
rank = jax.jit(jax.vmap(jax.vmap(metrics.average_precision, in_axes=-1)))
precision = {
    n: 100 * np.asarray(rank(p[:, 600:], y_of["test"] == 1)).mean(-1)
    for n, p in probability.items()
}
report("average prec. %", precision)

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.6))
for (name, (_, test)), color in zip(f1.items(), [BLUE, GREY, ORANGE], strict=True):
    axes.plot(thresholds, 100 * test.mean(0), color=color, lw=2, label=name)
axes.axvline(0.5, color=GREY, lw=1)
axes.set(xlabel="threshold: probability from which on we say yes", ylabel="macro F1 (%)")
axes.set(xlim=(0, 1), ylim=(40, 80), title="Another loss, another best threshold, the same height")
axes.legend(loc="lower center")
plt.show()

# %% [markdown]
# At a threshold of 0.5 the losses look different. Tuned on validation they are the same within
# their intervals: the asymmetric loss moves all probabilities up, and so the best threshold too. In
# the ranking it may be ahead, but by a point at the most.
# **Before you change the loss, tune the threshold.** With 25 % of the answers yes, the negatives
# are not yet a flood. With 80 labels, of which three are present, they are, and the asymmetric loss
# was made for that.
#
# ## 7. Without a softmax
#
# Three alternatives for one class of several: one sigmoid a class (binary cross-entropy), squared
# error on one-hot targets, and the hinge. We train on the digits 0 to 8. And then we show 9s, which
# the model has never seen. An honest answer would be "none of these".


# %%
def one_hot(labels):
    return jax.nn.one_hot(labels, 9)


def binary(logits, labels):
    return losses.sigmoid_cross_entropy(logits, one_hot(labels)).sum(-1)


def squared(logits, labels):
    return losses.squared_error(logits, one_hot(labels)).sum(-1)


def squared_after_softmax(logits, labels):
    return losses.squared_error(jax.nn.softmax(logits), one_hot(labels)).sum(-1)


rows = [draw(s, [100] * 9, 70, range(9)) for s in range(SEEDS)]
x_train = digits.features[np.stack([r[0] for r in rows])]
nines = np.tile(by_class[9], (SEEDS, 1))
probe = digits.features[np.concatenate([np.stack([r[1] for r in rows]), nines], axis=1)]
labels = np.tile(np.repeat(np.arange(9), 100), (SEEDS, 1))
known = np.repeat(np.arange(9), 70)
choices = {
    "cross-entropy": losses.softmax_cross_entropy,
    "one sigmoid a class": binary,
    "squared error on one-hot": squared,
    "squared error after softmax": squared_after_softmax,
    "hinge": losses.multiclass_hinge_loss,
}
outputs = {n: o[:, -1] for n, o in train(choices, x_train, labels, probe, 9).items()}
right = {n: 100 * (o[:, :630].argmax(-1) == known).mean(-1) for n, o in outputs.items()}
report("accuracy %", right)

# %%
top = {
    "softmax": np.asarray(jax.nn.softmax(outputs["cross-entropy"])).max(-1),
    "one sigmoid a class": np.asarray(jax.nn.sigmoid(outputs["one sigmoid a class"])).max(-1),
}
sure = {n: 100 * (p[:, 630:] > 0.9).mean(-1) for n, p in top.items()}
report("9s: % above 0.9", sure)
print()
report("known: % above", {n: 100 * (p[:, :630] > 0.9).mean(-1) for n, p in top.items()})

figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for axes, (name, p), color in zip(panels, top.items(), [BLUE, ORANGE], strict=True):
    bins = np.linspace(0, 1, 21)
    for part, c, label in [(p[:, :630], GREY, "0 to 8, known"), (p[:, 630:], color, "9, unseen")]:
        share = np.full(part.size, 100 / part.size)
        axes.hist(part.ravel(), bins, weights=share, color=c, alpha=0.55, label=label)
    axes.set(xlabel="largest probability", xlim=(0, 1), title=name)
    axes.legend(loc="upper left")
panels[0].set_ylabel("images (%)")
plt.show()

# %% [markdown]
# In accuracy, squared error and the hinge cannot be told from cross-entropy here, and the sigmoids
# are about half a point behind. The 9s make the difference: softmax is more than 90 % sure of about
# a quarter of them, because its shares must add up to 1 and somebody has to get them. The sigmoids,
# which may all say no, are so sure of about a twelfth. Part of that is that they are less sure of
# everything, as the grey bars show. And they are no safeguard: some strangers still get in.
#
# ## 8. What to take
#
# | what is wrong | first, the cheap thing | then the loss |
# |---|---|---|
# | nothing you can name | – | `softmax_cross_entropy` |
# | rare classes matter as much | subtract log π | `logit_adjusted_cross_entropy` |
# | a flood of easy examples | sample fewer of them | `focal_loss` |
# | labels wrong at random | stop early | `generalized_`, `symmetric_cross_entropy` |
# | classes taken for one another | clean some, measure T | `forward_corrected_cross_entropy` |
# | ordered classes | decide by the median | `corn_loss`, `coral_loss` |
# | several labels, or none | tune the threshold | `sigmoid_cross_entropy`, `asymmetric_loss` |
# | inputs of no class | a threshold on the sureness | `sigmoid_cross_entropy`, one a class |
#
# And judge by what you want: balanced accuracy, clean examples, the mean absolute error, F1.
#
# The runs here are short, on small data, with one learning rate for all. Twenty seeds, learning
# rates and stops chosen by validation for each loss, more losses, and every problem with its
# function are in [docs/choosing.md](../docs/choosing.md).
#
# ## Exercises
#
# **1. Half way.** `logit_adjusted_cross_entropy` takes `tau`. Train with τ = 0.5 and 2. What
# happens to the balanced accuracy, and what to the accuracy at the training's frequencies?
#
# <details><summary>Answer</summary>
#
# τ moves errors from the rare to the common classes. τ = 0.5 gains somewhat more than half of the
# balanced accuracy and costs the common classes nothing that could be measured. τ = 2 overshoots:
# rare classes are now said too often, the balanced accuracy gets no better, and six points of the
# accuracy at the training's frequencies are gone.
#
# </details>
#
# **2. The wrong matrix.** Correct the pair noise with the matrix of the symmetric noise. Is a wrong
# matrix better than none?
#
# <details><summary>Answer</summary>
#
# By some three points, where the right one gains nineteen. It says that errors are spread evenly,
# so it cannot explain why a third of the threes are called fours. It holds back the learning by
# heart a little, and leaves the systematic part in.
#
# </details>
#
# **3. The price of a decision.** For ordered classes a mistake costs the *square* of the distance.
# Which stage do you choose from the probabilities of a softmax?
#
# <details><summary>Answer</summary>
#
# The mean, rounded. The mean makes squared errors least, the median absolute ones, the likeliest
# stage the number of errors. The loss gives probabilities; the cost decides what to do with them.
#
# </details>
