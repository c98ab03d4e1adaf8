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
# # Regularization: underfitting, overfitting, and what helps
#
# At the end of this notebook you can
#
# - read from two curves whether a model learns too little or too much by heart;
# - say what the training, the validation and the test split are for, and keep them apart;
# - use early stopping, weight decay, L1 and elastic net, dropout and label smoothing;
# - compare them fairly, with seeds and intervals, and report when a method did *not* help;
# - see what smoothing does to the probabilities besides.
#
# Data: handwritten digits of 8 × 8 pixels, but only 100 of them to learn from, and one label in ten
# is wrong, as it happens where people label in a hurry. Less than a minute on one core.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx
from scipy.stats import t as student

from xentjax import metrics, optim, softmax_cross_entropy
from xentjax.data import load_digits
from xentjax.models import MLP, MLPConfig
from xentjax.train import EarlyStopping, fit

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"
table = load_digits()


WRONG = 0.1


def split(seed, n=100):
    """n images to train on, 200 to choose by, 500 to judge by; only the last are labelled well."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(table.labels))
    cuts = {"train": rows[:n], "validation": rows[-700:-500], "test": rows[-500:]}
    parts = {}
    for name, own in cuts.items():
        labels = table.labels[own]
        slips = (rng.random(len(own)) < WRONG) & (name != "test")
        labels = np.where(slips, (labels + rng.integers(1, 10, len(own))) % 10, labels)
        parts[name] = {"x": table.features[own], "labels": labels.astype(np.int32)}
    return parts


# %% [markdown]
# ## 1. Three splits
#
# **Training** rows set the weights. **Validation** rows choose: when to stop, how much dropout.
# **Test** rows are looked at once, at the end, and choose nothing. Whatever you choose by looks
# better than it is, because you chose it for looking good.
#
# We train a network with one hidden layer of 128 on 100 images. It has 9,610 parameters.

# %%
data = split(seed=0)
STEPS = 300


def learn(width, **options):
    shape = MLPConfig(in_features=64, hidden_features=(width,), classes=10)
    return fit(
        MLP(shape, rngs=nnx.Rngs(0)),
        data["train"],
        validation=data["validation"],
        schedule=optim.constant(3e-3),
        batch_size=50,
        validate_every=10,
        show_validations=False,
        **options,
    )


def curve(result, part):
    records = [r for r in result.records if r.split == part and r.step > 0]
    return [r.step for r in records], [r.loss_nats for r in records]


long = learn(128, steps=STEPS, optimizer=optim.adam)
small = learn(2, steps=STEPS, optimizer=optim.adam)

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
titles = ["2 hidden units: underfitting", "128 hidden units: overfitting"]
for axes, result, title in zip(panels, (small, long), titles, strict=True):
    (steps, training), (checks, held_out) = curve(result, "train"), curve(result, "validation")
    axes.loglog(steps, training, color=BLUE, lw=2, label="training")
    axes.loglog(checks, held_out, color=ORANGE, lw=2, label="validation")
    axes.axhline(np.log(10), color=GREY, lw=1)
    axes.set(xlabel="step", xlim=(10, STEPS), title=title)
    axes.set_xticks([10, 30, 100, 300], labels=["10", "30", "100", "300"])
    axes.set_xticks([], minor=True)
panels[0].set_ylabel("cross-entropy (nats)")
panels[0].text(11, np.log(10) * 1.15, "knows nothing: log 10", color=GREY)
panels[0].set_ylim(0.02, 5)
panels[0].legend(loc="lower left")
plt.show()

# %% [markdown]
# Left: both curves stay high. The model is too small for the task, and no regularization will
# help it: **underfitting**. Right: the training loss goes towards 0, the validation loss does not
# follow. The gap between them is what was learned by heart: **overfitting**.
#
# ## 2. Early stopping
#
# `EarlyStopping` watches the validation loss and gives up after some looks without improvement.
# `fit` keeps the parameters of the best look, in `result.best`.

# %%
stopped = learn(128, steps=STEPS, optimizer=optim.adam, stop=[EarlyStopping(patience=5)])


def score(model, part):
    logits, labels = model(jnp.asarray(data[part]["x"])), jnp.asarray(data[part]["labels"])
    loss = softmax_cross_entropy(logits, labels, reduction="mean")
    return float(loss), float(jnp.mean(logits.argmax(-1) == labels))


print(f"{stopped.reason}; {stopped.state.step} of {STEPS} steps taken")
for name, state in [("last step", long.state), ("stopped early", stopped.best)]:
    loss, right = score(state.to_model(), "test")
    low, high = metrics.wilson_interval(right * 500, 500)
    print(f"{name:14} test {loss:.3f} nats, {right:.1%} right (95 %: {low:.1%} to {high:.1%})")

# %% [markdown]
# A third of the steps, and about ten points more on the test. The last step had the images by
# heart, the wrongly labelled ones too. The validation labels are as noisy as the training labels,
# and that is no obstacle: they are wrong *independently*, so nobody is rewarded for repeating an
# error.
#
# ## 3. A fair comparison
#
# One run tells little: the intervals above are over five points wide, and that is only the luck of
# the *test* images. So from here on we use eight seeds. Each draws its own training, validation
# and test images, weights and batches, and all methods get the same. We compare pairwise.
#
# All methods and seeds run in one program. A method is a row of numbers: dropout rate, weight
# decay, L1 and L2 strengths, smoothing, and how many images there are to learn from.

# %%
SEEDS, WIDTH, CHECKS = 8, 128, 20
DEFAULTS = {"n": 100, "dropout": 0.0, "decay": 0.0, "l1": 0.0, "l2": 0.0, "smoothing": 0.0}


def network(params, x, keep=None):
    """One hidden layer; `keep` says by how much each hidden unit of each row is scaled."""
    hidden = jax.nn.relu(x @ params["w1"]["kernel"] + params["w1"]["bias"])
    hidden = hidden if keep is None else hidden * keep
    return hidden @ params["w2"]["kernel"] + params["w2"]["bias"]


def one_run(h, seed, parts, width):
    """Logits on validation and test, and the training loss, at each of CHECKS times."""
    keys = jax.random.split(jax.random.key(seed), 4)
    x, labels = parts["train"]["x"], parts["train"]["labels"]
    params = {
        "w1": {
            "kernel": jax.random.normal(keys[0], (64, width)) / 32**0.5,
            "bias": jnp.zeros(width),
        },
        "w2": {
            "kernel": jax.random.normal(keys[1], (width, 10)) / width**0.5,
            "bias": jnp.zeros(10),
        },
    }
    real = jnp.arange(len(x)) < h["n"]
    optimizer = optim.adamw(3e-3, weight_decay=h["decay"])

    def objective(params, rows, key):
        alive = jax.random.bernoulli(key, 1 - h["dropout"], (len(rows), width))
        logits = network(params, x[rows], alive / (1 - h["dropout"]))
        loss = softmax_cross_entropy(
            logits, labels[rows], label_smoothing=h["smoothing"], reduction="mean"
        )
        return loss + optim.l1(h["l1"])(params) + optim.l2(h["l2"])(params)

    def step(state, drawn):
        params, moments = state
        gradient = jax.grad(objective)(params, *drawn)
        updates, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), moments), None

    def stretch(state, drawn):
        state, _ = jax.lax.scan(step, state, drawn)
        seen = softmax_cross_entropy(network(state[0], x), labels, where=real, reduction="mean")
        held = {part: network(state[0], parts[part]["x"]) for part in ("validation", "test")}
        return state, {"train_nats": seen, **held}

    shape = (CHECKS, STEPS // CHECKS)
    rows = (jax.random.uniform(keys[2], (*shape, 50)) * h["n"]).astype(int)
    drawn = rows, jax.random.split(keys[3], shape)
    return jax.lax.scan(stretch, (params, optimizer.init(params)), drawn)[1]


def run(settings, width=WIDTH, seeds=SEEDS):
    """All settings on all seeds: arrays [settings, seeds, CHECKS, …]."""
    parts = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[split(s, n=800) for s in range(seeds)]
    )
    h = {k: jnp.array([s.get(k, v) for s in settings], jnp.float32) for k, v in DEFAULTS.items()}

    @jax.jit
    def program(h, parts):
        def of_setting(own):
            return jax.lax.map(lambda a: one_run(own, *a, width), (jnp.arange(seeds), parts))

        return jax.lax.map(of_setting, h)

    out = program(h, parts)
    for part in ("validation", "test"):
        labels, logits = parts[part]["labels"][None, :, None], out.pop(part)
        labels = jnp.broadcast_to(labels, logits.shape[:-1])
        out[part] = logits[:, :, -1]
        out[f"{part}_nats"] = softmax_cross_entropy(logits, labels).mean(-1)
        out[f"{part}_right"] = 100 * (logits.argmax(-1) == labels).mean(-1)
    return {name: np.asarray(a) for name, a in out.items()} | {
        "labels": np.asarray(parts["test"]["labels"])
    }


# %% [markdown]
# Every method has a strength, and the strength is chosen by the validation loss, for each seed by
# itself, as you would do it. Three strengths each, the same budget for all.

# %%
ladders = {
    "weight decay": [{"decay": d} for d in (0.3, 1.0, 3.0)],
    "L2 penalty": [{"l2": d} for d in (3e-3, 1e-2, 3e-2)],
    "L1 penalty": [{"l1": d} for d in (3e-4, 1e-3, 3e-3)],
    "elastic net": [{"l1": d / 2, "l2": d / 2} for d in (1e-3, 3e-3, 1e-2)],
    "dropout": [{"dropout": d} for d in (0.3, 0.6, 0.8)],
    "label smoothing": [{"smoothing": d} for d in (0.05, 0.1, 0.3)],
}
sizes = (50, 200, 400, 800)
settings = [{}] + [s for ladder in ladders.values() for s in ladder]
settings += [{"n": n, "dropout": rate} for rate in (0.0, 0.6) for n in sizes]  # for section 6
out = run(settings)
places = {name: range(1 + 3 * i, 4 + 3 * i) for i, name in enumerate(ladders)}
everyone = np.arange(SEEDS)
print(f"{len(settings)} settings × {SEEDS} seeds = {len(settings) * SEEDS} trainings")


# %%
def interval(values):
    """Mean and half the width of the 95 % interval."""
    values = np.asarray(values)
    quantile = student.ppf(0.975, len(values) - 1)
    return values.mean(), quantile * values.std(ddof=1) / len(values) ** 0.5


def best_of(indices):
    """For each seed the setting of least validation loss at the last step: (setting, check)."""
    indices = np.asarray(indices)
    return indices[out["validation_nats"][indices, :, -1].argmin(0)], CHECKS - 1


chosen = {"nothing": (0, CHECKS - 1)}
chosen["early stopping"] = (0, out["validation_nats"][0].argmin(-1))
chosen |= {name: best_of(indices) for name, indices in places.items()}


def at(name, key):
    setting, check = chosen[name]
    return out[key][setting, everyone, check]


print(f"{'':16}{'train':>6}{'test':>7} nats   {'gain':>16}   {'% right':>8}   {'gain':>14}")
for name in chosen:
    nats, right = at(name, "test_nats"), at(name, "test_right")
    saved, saved_half = interval(at("nothing", "test_nats") - nats)
    gain, gain_half = interval(right - at("nothing", "test_right"))
    stars = [" *" if abs(g) > h else "  " for g, h in ((saved, saved_half), (gain, gain_half))]
    text = [
        f"{saved:+.3f} ± {saved_half:.3f}{stars[0]}",
        f"{gain:+.1f} ± {gain_half:.1f}{stars[1]}",
    ]
    text = ["", ""] if name == "nothing" else text
    print(
        f"{name:16}{at(name, 'train_nats').mean():6.3f}{nats.mean():7.3f}        {text[0]:>16}"
        f"   {right.mean():6.1f}     {text[1]:>14}"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
names = list(chosen)[:0:-1]
for axes, key, sign in [(left, "test_nats", -1), (right, "test_right", 1)]:
    for place, name in enumerate(names):
        gain, half = interval(sign * (at(name, key) - at("nothing", key)))
        color = BLUE if gain - half > 0 else ORANGE if gain + half < 0 else GREY
        axes.errorbar(gain, place, xerr=half, fmt="o", color=color, capsize=3)
    axes.axvline(0, color=GREY, lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
left.set(xlabel="test loss saved (nats)", title="Loss: dropout gains most")
right.set(xlabel="more test images right (points)", title="Accuracy: most gain, none stands out")
plt.show()

# %% [markdown]
# Read it soberly. In accuracy almost everything helps by two to four points: early stopping,
# penalties, weight decay, dropout. Their intervals overlap, so this does not say which of them is
# best. Label smoothing shows no clear gain. In the loss dropout gains most, and the end of its
# interval is next to 0.
#
# Why so little in the loss? A wrong label in the validation set is expensive for a model that is
# sure. So the validation loss asks for less sureness than the clean test rewards, and tends to pick
# strengths that are too high. Clean validation labels are worth their price.
#
# And none of it is magic: the one seed of section 2 gained some ten points by stopping early. The
# mean over eight seeds is about three.

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.8))
steps = np.arange(1, CHECKS + 1) * (STEPS // CHECKS)
for name, index, color in [
    ("nothing", 0, GREY),
    ("dropout 0.6", places["dropout"][1], BLUE),
    ("L2 0.01", places["L2 penalty"][1], GREEN),
    ("smoothing 0.05", places["label smoothing"][0], ORANGE),
]:
    axes.plot(steps, out["test_nats"][index].mean(0), color=color, lw=2, label=name)
    axes.plot(steps, out["train_nats"][index].mean(0), "--", color=color, lw=1.5)
axes.text(4, 0.05, "solid: test\ndashed: training", color=GREY)
axes.set(xlabel="step", ylabel="cross-entropy (nats)", xlim=(0, STEPS), ylim=(0, 1))
axes.set_title("The gap between dashed and solid is what was learned by heart")
axes.legend(ncols=2)
plt.show()

# %% [markdown]
# Grey learns the wrong labels by heart and its test loss turns up. Dropout and L2 slow that down,
# so the dashed curve stays higher. A larger training loss is not the aim. It is the sign that the
# model has been kept from memorizing.
#
# ## 4. How strong?
#
# Too little does nothing, too much underfits. Each method has a valley between.

# %%
figure, panels = plt.subplots(1, 4, figsize=(9.5, 3.1), sharey=True)
drawn = {
    "L2 penalty": "l2",
    "L1 penalty": "l1",
    "dropout": "dropout",
    "label smoothing": "smoothing",
}
for axes, (name, key) in zip(panels, drawn.items(), strict=True):
    strengths = [settings[i][key] for i in places[name]]
    for part, color, label in [("train", BLUE, "training"), ("test", ORANGE, "test")]:
        losses = out[f"{part}_nats"][list(places[name]), :, -1].mean(1)
        axes.plot(strengths, losses, "o-", color=color, label=label)
    axes.axhline(out["test_nats"][0, :, -1].mean(), color=GREY, lw=1, ls=":")
    axes.set(title=name, xlabel="strength")
    axes.set_xscale("log")
    axes.set_xticks(strengths, labels=[f"{s:g}" for s in strengths])
    axes.set_xticks([], minor=True)
panels[0].set(ylabel="cross-entropy (nats)", ylim=(0, None))
panels[0].legend()
plt.show()

# %% [markdown]
# The dotted line is the test loss with nothing. Past its best strength a method makes the model
# underfit: both curves rise together. L2 and L1 differ in what they leave: L2 makes all weights
# smaller, L1 presses many of them close to 0 and spares a few. Elastic net is the sum of the two.
# Weight decay shrinks weights as L2 does, but past Adam's scaling, so its numbers are larger.
#
# ## 5. What smoothing does besides
#
# Label smoothing tells the model that it is never quite sure. Are its probabilities more honest? A
# model is **calibrated** if, of the images of which it is 80 % sure, 80 % are right.

# %%
labels = out["labels"]
reliability = metrics.Reliability(bins=10)


@jax.jit
def table_of(shares, labels):
    return reliability.compute(reliability.update(reliability.init(), shares, labels))


@jax.jit
@jax.vmap
def calibration_error(shares, labels):
    return metrics.debiased_calibration_error(table_of(shares, labels))


figure, axes = plt.subplots(figsize=(4.6, 4.2))
axes.plot([0, 1], [0, 1], color=GREY, lw=1)
for name, index, color in [
    ("nothing", 0, GREY),
    ("smoothing 0.05", places["label smoothing"][0], BLUE),
    ("smoothing 0.3", places["label smoothing"][2], ORANGE),
]:
    shares = jax.nn.softmax(out["test"][index])
    said, right = np.asarray(shares.max(-1)), np.asarray(shares.argmax(-1)) == labels
    excess, half = interval(100 * (said.mean(-1) - right.mean(-1)))
    errors = calibration_error(shares, labels)
    error, error_half = interval(100 * errors)
    print(f"{name:15} says {said.mean():.1%}, is right {right.mean():.1%}:", end=" ")
    print(f"{excess:+.1f} ± {half:.1f} points; calibration error {error:.1f} ± {error_half:.1f} %")
    pooled = table_of(shares.reshape(-1, 10), labels.ravel())
    filled = np.asarray(pooled.weight) >= 30
    x, y = np.asarray(pooled.confidence)[filled], np.asarray(pooled.accuracy)[filled]
    axes.plot(x, y, "o-", color=color, label=name)
axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="how sure the model is", ylabel="how often it is right")
axes.set_title("Smoothing: from too sure to too modest")
axes.legend(loc="upper left")
plt.show()

# %% [markdown]
# With nothing the model says more than it knows. Smoothing lowers the sureness, and even a weak one
# overshoots here: the model is right more often than it says. Smoothing shifts the sureness, and
# nothing makes it stop at the right place. If you want honest probabilities, fit a temperature on
# validation after the training (notebook 11).
#
# ## 6. Or more data

# %%
sizes = [50, 100, 200, 400, 800]
right = out["test_right"][:, :, -1]
plain, dropped = right[-8:-4], right[-4:]
plain = np.insert(plain, 1, right[0], axis=0)
dropped = np.insert(dropped, 1, right[places["dropout"][1]], axis=0)

figure, axes = plt.subplots(figsize=(6.4, 3.5))
for rows, name, color in [(plain, "nothing", GREY), (dropped, "dropout 0.6", BLUE)]:
    mean, half = np.array([interval(r) for r in rows]).T
    axes.errorbar(sizes, mean, yerr=half, fmt="o-", color=color, capsize=3, label=name)
axes.set_xscale("log")
axes.set_xticks(sizes, labels=[str(n) for n in sizes])
axes.set_xticks([], minor=True)
axes.set(
    xlabel="training images",
    ylabel="test images right (%)",
    title="More images help, with dropout or without",
)
axes.legend(loc="lower right")
plt.show()
for n, a, b in zip(sizes, plain, dropped, strict=True):
    gain, half = interval(b - a)
    print(f"{n:4} images: {a.mean():.1f} % without, dropout {gain:+.1f} ± {half:.1f} points")

# %% [markdown]
# Twice the images gain more than dropout does, except around 200 images, where the two are about
# level. Dropout helps most in the middle, and little at either end. So before you tune strengths
# for a week, ask what another hundred labels cost, or a hundred *correct* ones.
#
# ## In short
#
# | sign | it is | what to do |
# |---|---|---|
# | both losses high | underfitting | a larger model, more steps, less regularization |
# | training falls, validation rises | overfitting | stop early; then dropout or a penalty |
# | more sure than right | overconfidence | a temperature (notebook 11) |
# | all methods within their intervals | luck | more seeds, or more data |
#
# ## Exercises
#
# **1. Correct labels.** Set `WRONG = 0.0`, make the penalties three times smaller and run again.
# How much does regularization help now?
#
# <details><summary>Answer</summary>
#
# Much less. The network still learns all images by heart, but what it learns is true: 89 % are
# right with nothing. The gains shrink to less than a point of accuracy. In the loss none can be
# told from luck, and smoothing loses. Learning by heart hurts most where there is something wrong
# to learn.
#
# </details>
#
# **2. Peeking.** Choose the strength of dropout by the *test* loss instead of the validation loss.
# By how much does the test loss look better, over the seeds?
#
# <details><summary>Answer</summary>
#
# By about 0.03 nats. It can only look better, for the least of three test losses is never above the
# one that validation picked. Nothing about the model got better. The more things you try, the
# larger the illusion.
#
# </details>
#
# **3. Zeros.** After training with the L1 penalty, how many of the weights are exactly 0? Why?
#
# <details><summary>Answer</summary>
#
# None. A gradient step crosses 0 instead of stopping there. But with a strength of 0.003 some six
# in seven end below 0.001; cut those off, and see whether the loss notices.
#
# </details>
