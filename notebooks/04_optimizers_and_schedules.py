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
# # Optimizers and schedules: the way down
#
# At the end of this notebook you can
#
# - write backpropagation by hand for a network of two layers, and check it against `jax.grad`;
# - tell a minimum from a saddle by its curvatures, and say what momentum does at each;
# - say how noisy a mini-batch is, and why that is no reason to take all the data;
# - find a learning rate by experiment, by a range test, and by a rule of thumb, and compare them;
# - choose a schedule, and say when a warm-up pays;
# - decide when a training is finished, and know what each rule looks at.
#
# Data: 1,797 handwritten digits of 8 × 8 pixels. Less than a minute on one core.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx
from matplotlib.colors import ListedColormap

from xentjax import optim, softmax_cross_entropy
from xentjax.data import load_digits, stratified_split
from xentjax.models import MLP, MLPConfig
from xentjax.plots import draw_rate_curve
from xentjax.search import lr_find
from xentjax.train import EarlyStopping, Plateau, TargetLoss, fit

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"

table = load_digits()
split = stratified_split(table.labels, fractions=(0.7, 0.15, 0.15), seed=0)
x, y = jnp.asarray(table.features[split.train]), jnp.asarray(table.labels[split.train])
x_held, y_held = table.features[split.validation], table.labels[split.validation]
print(f"{len(x)} rows to train on, {len(x_held)} held out, {x.shape[1]} pixels each")

# %% [markdown]
# ## 1. Backpropagation is the chain rule, from the end
#
# A network of two layers: $a = xW + b$, $h = \tanh a$, $z = hV + c$, and the mean cross-entropy of
# the logits z. We want the slope of the loss in each weight. Start at the loss, where the slope
# is known ($p - y$, see notebook 1), and walk back. Each line below multiplies what it got from
# the line above by one local derivative.


# %%
def loss(params, x, y):
    h = jnp.tanh(x @ params["W"] + params["b"])
    return softmax_cross_entropy(h @ params["V"] + params["c"], y, reduction="mean")


def backward(params, x, y):
    h = jnp.tanh(x @ params["W"] + params["b"])  # forward, and keep h
    p = jax.nn.softmax(h @ params["V"] + params["c"])
    dz = (p - jax.nn.one_hot(y, 10)) / len(x)  # cross-entropy: p - y
    dh = dz @ params["V"].T  # the second layer, transposed
    da = dh * (1 - h**2)  # tanh' = 1 - tanh²
    return {"W": x.T @ da, "b": da.sum(0), "V": h.T @ dz, "c": dz.sum(0)}


keys = jax.random.split(jax.random.key(0), 2)
params = {
    "W": jax.random.normal(keys[0], (64, 32)) / 8,
    "b": jnp.zeros(32),
    "V": jax.random.normal(keys[1], (32, 10)) / np.sqrt(32),
    "c": jnp.zeros(10),
}
by_hand, by_jax = backward(params, x, y), jax.grad(loss)(params, x, y)
for name in params:
    apart = jnp.abs(by_hand[name] - by_jax[name]).max() / jnp.abs(by_jax[name]).max()
    print(f"slope in {name}: apart by less than 1e-5 of its size: {bool(apart < 1e-5)}")


# %% [markdown]
# That is all of it. A weight's slope is *what came in* times *what came back*: $x^T da$. And the
# price? Backward needs two products of matrices where forward needs one.


# %%
def operations(function):
    return jax.jit(function).lower(params, x, y).compile().cost_analysis()["flops"]


ratio = operations(jax.value_and_grad(loss)) / operations(loss)
print(f"loss and all {64 * 32 + 32 + 32 * 10 + 10} slopes: {ratio:.1f} × the work of the loss")

# %% [markdown]
# The factor does not grow with the number of weights. Trying each weight in turn, by moving it a
# little, would cost 2,411 losses. (The first layer needs no slope in its input, which saves a
# product here.)
#
# ## 2. Valleys, saddles and four ways to walk
#
# A landscape with two weights, to look at. Two valleys, the left one deeper; the valley floor is
# steep across and flat along, as in real networks (notebook 9). Where the slope is zero, the
# curvatures say what it is: both positive is a **minimum**, one negative is a **saddle**.


# %%
def surface(w):
    u, v = w[..., 0], w[..., 1]
    return (u**2 - 1) ** 2 / 4 + 0.12 * u + 2.5 * (v - 0.4 * jnp.sin(2 * u)) ** 2


slope_at, curvature_at = jax.jit(jax.grad(surface)), jax.jit(jax.hessian(surface))


def stationary(w):
    """The point of zero slope near w, by Newton's method."""
    for _ in range(10):
        w = w - np.linalg.solve(curvature_at(w), slope_at(w))
    return w


points = [stationary(np.array([u, 0.4 * np.sin(2 * u)])) for u in (-1.0, 0.1, 1.0)]
for w in points:
    curvatures = np.linalg.eigvalsh(curvature_at(w))
    kind = "minimum" if curvatures[0] > 0 else "saddle"
    print(f"({w[0]:5.2f}, {w[1]:5.2f})  loss {surface(w):5.2f}  {curvatures.round(2)}  {kind}")

# %% [markdown]
# Four optimizers start at the same point, and at 1,600 others. Colour says in which valley a
# start ends: blue is the deep one.

# %%
RULES = {
    "sgd": optim.optimizer("sgd", 0.05),
    "momentum": optim.optimizer("momentum", 0.05, momentum=0.9),
    "nesterov": optim.optimizer("nesterov", 0.05, momentum=0.9),
    "adam": optim.optimizer("adam", 0.05),
}


def walk(rule, start, steps=400):
    def step(carry, _):
        w, state = carry
        updates, state = rule.update(jax.grad(surface)(w), state, w)
        return (optax.apply_updates(w, updates), state), w

    return jax.lax.scan(step, (start, rule.init(start)), length=steps)[1]


u, v = jnp.meshgrid(jnp.linspace(-2, 2, 40), jnp.linspace(-1.6, 1.6, 40))
starts = jnp.stack([u, v], axis=-1).reshape(-1, 2)
fine = jnp.stack(jnp.meshgrid(jnp.linspace(-2, 2, 161), jnp.linspace(-1.6, 1.6, 129)), axis=-1)
heights = surface(fine)
starts = jnp.concatenate([jnp.array([[1.8, 1.2]]), starts])  # the marked one first
VALLEYS = ListedColormap([ORANGE, BLUE])
EXTENT = {"extent": (-2, 2, -1.6, 1.6), "origin": "lower", "aspect": "auto"}

figure, panels = plt.subplots(2, 2, figsize=(9.2, 6.2), sharex=True, sharey=True)
for axes, (name, rule) in zip(panels.flat, RULES.items(), strict=True):
    paths = jax.jit(jax.vmap(lambda start, rule=rule: walk(rule, start)))(starts)
    path, deep = paths[0], paths[1:, -1, 0] < points[1][0]
    axes.imshow(deep.reshape(40, 40), cmap=VALLEYS, alpha=0.25, **EXTENT)
    axes.contour(fine[..., 0], fine[..., 1], heights, 18, colors="k", linewidths=0.4)
    axes.plot(*path.T, "-", color="k", lw=1.4)
    axes.plot(*path[::4].T, ".", color="k", ms=4)
    for w, sign in zip(points, "o^o", strict=True):
        axes.plot(*w, sign, color="white", mec="k", ms=8)
    axes.set(xlim=(-2, 2), ylim=(-1.6, 1.6), title=f"{name}: {deep.mean():.0%} end in the deep one")
figure.suptitle("Where it ends depends on the rule (circles: minima, triangle: saddle)", x=0.35)
plt.show()

# %% [markdown]
# Plain gradient descent ends in the valley it starts in: a border runs through the saddle. A ball
# with momentum carries on: from the start whose path is drawn it rolls over the saddle. But
# momentum is no cure: from other starts it rolls *out* of the deep valley, and over all starts it
# gains only a few points. Nesterov's look ahead damps the swing. Adam divides each slope by its
# recent size, so its steps (a dot every fourth) are about equally long, steep or flat.
#
# Which should worry you more, minima or saddles? In many dimensions a point of zero slope is a
# minimum only if *every* curvature is positive. Most are saddles. And a saddle does not hold: any
# sidewise error grows like $(1 + \eta\lambda)^t$.


# %%
@jax.jit
def steps_to_leave(offset, noise, key):
    """Gradient descent on (u² - v²) / 2 from (1, offset): the step at which |v| passes 1."""

    def step(w, key):
        slope = w * jnp.array([1.0, -1.0]) + noise * jax.random.normal(key, (2,))
        return w - 0.1 * slope, jnp.abs(w[1])

    _, sidewise = jax.lax.scan(step, jnp.array([1.0, offset]), jax.random.split(key, 400))
    return jnp.where(sidewise.max() > 1, jnp.argmax(sidewise > 1), -1)


print("offset   no noise   noise 0.01   by the formula")
for offset in (1e-2, 1e-4, 1e-8, 0.0):
    calm, noisy = (int(steps_to_leave(offset, n, jax.random.key(1))) for n in (0.0, 0.01))
    formula = f"{np.log(1 / offset) / np.log(1.1):.0f}" if offset else "never"
    print(f"{offset:6.0e} {calm if calm > 0 else 'never':>10} {noisy:>12} {formula:>16}")

# %% [markdown]
# Each factor of 100 costs the same 48 steps. Exactly on the ridge the noiseless ball stays for
# ever; a little noise ends that. Mini-batches bring noise for free.
#
# ## 3. The noise of a mini-batch
#
# The slope over B random rows is the true slope plus an error. How large? We draw 200 batches of
# each size and compare with the slope over all rows.

# %%
slope = jax.jit(jax.grad(loss))


def flat(tree):
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


@jax.jit
def train(start, rows, rate):
    """Plain gradient descent over the batches named by rows [steps, B]."""

    def step(p, batch):
        g = jax.grad(loss)(p, x[batch], y[batch])
        p = jax.tree.map(lambda a, b: a - rate * b, p, g)
        return p, loss(p, x, y)

    return jax.lax.scan(step, start, rows)


rng = np.random.default_rng(0)
warm, _ = train(params, rng.integers(0, len(x), (60, 64)), 0.3)
stages = {"at the start": params, "after 60 steps": warm}
sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.7))
for (stage, at), color in zip(stages.items(), (GREY, BLUE), strict=True):
    true = flat(slope(at, x, y))
    each = jax.vmap(lambda a, b, at=at: flat(jax.grad(loss)(at, a[None], b[None])))(x, y)
    error = []
    for size in sizes:
        counts = rng.multinomial(size, np.full(len(x), 1 / len(x)), 200)  # rows drawn, per batch
        apart = counts.astype(np.float32) @ each / size - true
        error.append(float(jnp.linalg.norm(apart, axis=1).mean() / jnp.linalg.norm(true)))
    left.loglog(sizes, error, "o-", color=color, label=stage)
    print(f"{stage:14}: error of one row {error[0]:.1f}, of 64 rows {error[6]:.2f} of the slope")
left.loglog(sizes, error[0] / np.sqrt(sizes), ":", color="k", lw=1, label=r"$1/\sqrt{B}$")
left.set(xlabel="rows in a batch, B", ylabel="error ÷ length of the slope")
left.set(title=r"The error falls as $1/\sqrt{B}$")
left.legend()

EPOCHS = 3
for size, color in [(16, BLUE), (128, GREEN), (len(x), ORANGE)]:
    steps = max(1, EPOCHS * len(x) // size)
    rows = np.concatenate([rng.permutation(len(x)) for _ in range(EPOCHS + 1)])
    _, losses = train(params, rows[: steps * size].reshape(steps, size), 0.5)
    label = f"{size} rows: {steps} steps"
    right.plot((1 + np.arange(steps)) * size / len(x), losses, ".-", ms=3, color=color, label=label)
right.set(xlim=(0, EPOCHS), ylim=(0, 3), xlabel="passes over the data", ylabel="loss (nats)")
right.set(title="Many noisy steps beat few exact ones")
right.legend()
plt.show()

# %% [markdown]
# Four times the rows halve the error, and cost four times as much. So the first rows of a batch
# are the best bargain, and the same three passes over the data go furthest in small batches. Two
# limits: hardware is bad at small products, and with a constant rate the noise sets a floor under
# the loss. A schedule that ends at zero takes the floor away.
#
# ## 4. Too low, right, too high
#
# Now a network of the library, an `MLP` with 32 hidden units, and batches of 32. The learning
# rate is a traced number, so all rates train in one program.

# %%
STEPS, BATCH = 200, 32
graph, weights = nnx.split(MLP(MLPConfig(in_features=64, hidden_features=(32,)), rngs=nnx.Rngs(0)))
rows = rng.integers(0, len(x), (STEPS, BATCH))


def digit_loss(weights, x, y):
    return softmax_cross_entropy(nnx.merge(graph, weights)(x), y, reduction="mean")


def descend(rule, start=weights, order=rows):
    """200 steps of an optimizer: the loss of each batch, and the final loss on held-out rows."""

    def step(carry, batch):
        w, state = carry
        value, g = jax.value_and_grad(digit_loss)(w, x[batch], y[batch])
        updates, state = rule.update(g, state, w)
        return (optax.apply_updates(w, updates), state), value

    (w, _), losses = jax.lax.scan(step, (start, rule.init(start)), order)
    return losses, digit_loss(w, x_held, y_held)


NAMES = {"sgd": GREY, "momentum": ORANGE, "nesterov": PINK, "adamw": BLUE}
rates = np.logspace(-5, 2, 22)
at_rate, curves, final = {}, {}, {}
for name in NAMES:
    at_rate[name] = jax.jit(lambda rate, name=name: descend(optim.optimizer(name, rate)))
    runs = [at_rate[name](rate) for rate in rates]
    curves[name] = [run[0] for run in runs]
    final[name] = np.array([run[1] for run in runs])

figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8))
shown = [("too low", 6, GREY), ("right", 14, BLUE), ("too high", 19, ORANGE)]
for label, i, color in shown:
    left.plot(curves["sgd"][i], color=color, label=f"{label}: {rates[i]:.2g}")
left.axhline(np.log(10), color="k", lw=0.6)
left.text(198, np.log(10) - 0.08, "guessing: log 10", ha="right", va="top")
left.set(xlim=(0, STEPS), ylim=(0, 5), xlabel="step", ylabel="loss of the batch (nats)")
left.set(title="Three rates, plain sgd")
left.legend(loc="upper right", frameon=True, framealpha=0.95, edgecolor="none")
for name, color in NAMES.items():
    capped = np.nan_to_num(np.minimum(final[name], 8), nan=8)
    right.loglog(rates, capped, "o-", ms=3, color=color, label=name)
right.axhline(np.log(10), color="k", lw=0.6)
right.set(ylim=(0.05, 9), xlabel="learning rate", ylabel="held-out loss after 200 steps")
right.set(title="Each optimizer has its own scale of rates")
right.legend(loc="lower left")
plt.show()
for name in NAMES:
    i = int(np.nanargmin(final[name]))
    good = rates[final[name] < 2 * final[name][i]]
    print(f"{name:9} best {rates[i]:8.2g}, within twice its loss {good[0]:.2g} to {good[-1]:.2g}")

# %% [markdown]
# The curve of each optimizer is a valley: a gentle slope on the left, where 200 steps are too few,
# and a cliff on the right, where the steps overshoot. (Curves are cut off at 8 nats.) Momentum 0.9
# adds up ten slopes, so its left side lies a factor of ten to the left of sgd's. AdamW divides by
# the size of the slope, so its rate is a length and has nothing to do with theirs. Never carry a
# rate from one optimizer to another.
#
# ## 5. Finding the rate in one run
#
# `lr_find` trains a copy of the model while the rate rises from step to step, and looks where the
# loss falls fastest and where it breaks. One short run in place of 22.

# %%
model = MLP(MLPConfig(in_features=64, hidden_features=(32,)), rngs=nnx.Rngs(0))
data = {"x": np.asarray(x), "labels": np.asarray(y)}
curve = lr_find(model, data, optimizer="adamw", low=1e-6)
draw_rate_curve(curve, title="Learning-rate range test, AdamW on digits")

# %%
losses = final["adamw"]
print(f"best of 22 trainings: {losses.min():.3f} nats at {rates[losses.argmin()]:.2g}")
for name, rate in curve.suggestions.items():
    value = at_rate["adamw"](rate)[1]
    print(f"{name:14} {rate:8.2g}: {value:.3f} nats")

# %% [markdown]
# The steepest point and a tenth of the minimum land near the floor of the valley. The middle of the
# fall, "valley", is far too careful here: it counts from where the fall begins, and this curve is
# flat for a long time. So look at the picture, and take a range test for what it is: the right
# power of ten from one short run. For the second digit, search (notebook 10).
#
# ## 6. Schedules
#
# A high rate covers ground, a low one settles. A schedule does both in turn. All twelve by name,
# for a run of 1,000 steps and a peak of 1:

# %%
SCHEDULES = ["constant", "linear", "cosine", "polynomial", "exponential", "piecewise"]
SCHEDULES += ["warmup_cosine", "warmup_stable_decay", "inverse_sqrt"]
SCHEDULES += ["one_cycle", "triangular", "sgdr"]
figure, panels = plt.subplots(3, 4, figsize=(9.6, 4.8), sharex=True, sharey=True)
for axes, name in zip(panels.flat, SCHEDULES, strict=True):
    rate = jax.vmap(optim.schedule(name, 1.0, steps=1000))(jnp.arange(1001))
    axes.fill_between(np.arange(1001), rate, color=BLUE, alpha=0.15, lw=0)
    axes.plot(rate, color=BLUE)
    axes.set(title=name, xticks=[0, 500, 1000], yticks=[0, 1], ylim=(0, 1.1))
figure.supxlabel("step")
figure.supylabel("rate ÷ peak")
plt.show()

# %% [markdown]
# Which is best? We try each at nine peaks, average over four seeds, and look at the peak that suits
# it. Cosine with and without a warm-up differ in little but the first 10 of the 200 steps.

# %%
peaks = np.logspace(-3, -0.25, 9)
keys = jax.random.split(jax.random.key(7), 4)
starts = [nnx.state(MLP(MLPConfig(64, (32,)), rngs=nnx.Rngs(key))) for key in keys]
orders = rng.integers(0, len(x), (4, STEPS, BATCH))


@jax.jit
def with_rates(rates, start, order):
    """AdamW with a rate for each step: all schedules are one program."""
    return descend(optim.adamw(lambda step: rates[step]), start, order)


compared = {"constant": GREY, "cosine": ORANGE, "warmup_cosine": BLUE, "warmup_stable_decay": GREEN}
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9))
for name, color in compared.items():
    shape = jax.vmap(optim.schedule(name, 1.0, steps=STEPS))(jnp.arange(STEPS))
    runs = [
        [with_rates(peak * shape, *seed) for seed in zip(starts, orders, strict=True)]
        for peak in peaks
    ]
    held_out = np.array([[run[1] for run in seeds] for seeds in runs])
    mean, error = held_out.mean(axis=1), held_out.std(axis=1, ddof=1) / 2
    left.loglog(peaks, mean, "o-", ms=3, color=color, label=name)
    best = int(mean.argmin())
    print(f"{name:20} best peak {peaks[best]:.3f}: {mean[best]:.3f} ± {error[best]:.3f} nats")
    if "cosine" in name:
        right.plot(np.mean([run[0] for run in runs[7]], axis=0), color=color, label=name)
left.set(xlabel="peak of the learning rate", ylabel="held-out loss (nats)", ylim=(0.07, 6))
left.set(title="A schedule forgives a peak that is too high")
left.legend(loc="upper left")
right.axvspan(0, 10, color=BLUE, alpha=0.12, lw=0)
right.set(xlim=(0, STEPS), yscale="log", xlabel="step", ylabel="loss of the batch (nats)")
right.set(title=f"Peak {peaks[7]:.2f}: ten gentle steps (blue) save the run")
right.legend()
plt.show()

# %% [markdown]
# At its best peak each does well; a schedule that ends at zero is better than a constant rate by
# a little, and the good peaks reach higher. The larger difference is at the right: at a high peak
# the first ten steps decide the run. Adam's first step moves every weight by the full rate,
# whatever its slope: here by 0.25, twice the size of the weights, which start at about 1/8. A
# **warm-up** costs 5 % of the steps and widens the valley. It pays with Adam, with large rates,
# and with deep networks. At a careful rate it changes nothing: on the left the two cosine curves
# lie on each other.
#
# `warmup_stable_decay` stays at the peak and falls at the end. Take it where you do not yet know
# how long you will train: the plateau can be extended, a cosine cannot.
#
# ## 7. When is it finished?
#
# A run of 1,500 steps at a constant rate. Three rules look at its records afterwards and say where
# they would have stopped: a target, patience with the validation loss, and a flat training loss.

# %%
result = fit(
    MLP(MLPConfig(64, (32,)), rngs=nnx.Rngs(0)),
    data,
    validation={"x": x_held, "labels": y_held},
    optimizer="adamw",
    schedule=0.005,
    steps=1500,
    batch_size=32,
    validate_every=25,
    show_validations=False,
)
trained = [r for r in result.records if r.split == "train"]
held = [r for r in result.records if r.split == "validation"]
STOPPING = [TargetLoss(0.15), EarlyStopping(patience=8), Plateau(window=10, tolerance=0.01)]


def stops(rule):
    """The step at which a rule would have ended this run, and what it says."""
    memory = rule.start()
    for record in result.records:
        memory, reason = rule.look(memory, record)
        if reason:
            return record.step, reason
    return None, "would have gone on"


figure, (above, below) = plt.subplots(2, 1, figsize=(7.2, 4.8), sharex=True, height_ratios=[2, 1])
for part, color, name in [(trained, GREY, "training"), (held, BLUE, "validation")]:
    above.semilogy([r.step for r in part], [r.loss_nats for r in part], color=color, label=name)
below.plot([r.step for r in trained], [r.grad_norm for r in trained], color=GREY)
for rule in STOPPING:
    step, reason = stops(rule)
    print(f"{type(rule).__name__:14} {reason}" + (f" (seen at step {step})" if step else ""))
    if step:
        above.axvline(step, color=ORANGE, lw=1)
        above.text(step + 8, 2.2, type(rule).__name__, color=ORANGE, va="center")
above.set(ylabel="loss (nats)", title="The loss that is trained on never says stop")
above.legend(loc="upper right")
below.set(xlim=(0, 1500), ylim=(0, 1.5), xlabel="step", ylabel="length of\nthe slope")
below.set_title("The slope of a mini-batch does not go to zero")
plt.show()

# %% [markdown]
# The textbook's criterion, a slope of zero, is of no use here: what is left of it in a mini-batch
# is mostly noise (section 3). The training loss still falls, so `Plateau` waits on. The
# validation loss has been flat since step 600, and `EarlyStopping` says so after eight looks
# without a new best. `fit(..., stop=[...])` takes the rules, keeps the parameters of the best
# validation, and writes down which rule ended the run. Set a target *before* you train, so that you
# know what is good enough, and give every run a budget of steps: only the budget is sure to end it.
#
# ## Exercises
#
# **1. One more layer.** Extend `backward` to three layers. Which line appears twice?
#
# <details><summary>Answer</summary>
#
# The pair `dh = dz @ V.T`, `da = dh * (1 - h**2)`: once for each hidden layer. A loop over layers
# from the last to the first is all that backpropagation is.
#
# </details>
#
# **2. Half the batch, which rate?** In section 3 all batch sizes used the rate 0.5. Give each its
# own best rate. Does the full batch catch up in three passes?
#
# <details><summary>Answer</summary>
#
# No. Its best rate is about 2, and three such steps come to 1.7 nats, where 16 rows at 0.5 come to
# some 0.15. It may take larger steps, but only three of them, and a step cannot be longer than the
# curvature allows: 2/λ, see notebook 9.
#
# </details>
#
# **3. Momentum's cliff.** On the parabola λw²/2, for which rates does momentum μ converge? Compare
# with 2/λ of plain descent.
#
# <details><summary>Answer</summary>
#
# Below 2 (1 + μ)/λ. So on the right momentum is no worse than sgd on an exact parabola, while on
# the left it is 1/(1 − μ) times as fast. With the noise of mini-batches its cliff comes earlier, as
# the noise adds up as well.
#
# </details>
