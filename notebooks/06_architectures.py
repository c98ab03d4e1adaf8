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
# # Architectures: what a network believes before it learns
#
# At the end of this notebook you can
#
# - say what an MLP, an RNN and a CNN assume about an image, and compare them on equal terms;
# - read an interval, and not crown a winner whose lead is chance;
# - see which assumption survives when every digit moves by one pixel;
# - choose an activation by its slope, and say why deep sigmoid networks stand still;
# - say what dropout and batch norm do in training and stop doing afterwards;
# - trade computing for memory with gradient checkpointing, and check that nothing else changed.
#
# Data: 1,797 handwritten digits of 8 × 8 pixels. Less than a minute on one core.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

from xentjax import optim, softmax_cross_entropy
from xentjax.audit.activations import gradient_ratio, layer_sizes
from xentjax.data import load_digits, stratified_split
from xentjax.metrics import wilson_interval
from xentjax.models import CNN, MLP, CNNConfig, GRULayer, MLPConfig, activation
from xentjax.train import fit

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"

table = load_digits()
split = stratified_split(table.labels, fractions=(0.7, 0.15, 0.15), seed=0)
held = np.concatenate([split.validation, split.test])  # nothing is tuned here: both may judge
images, labels = table.features[split.train].reshape(-1, 8, 8), table.labels[split.train]
new_images, new_labels = table.features[held].reshape(-1, 8, 8), table.labels[held]
print(f"{len(images)} digits to train on, {len(new_images)} to judge by")

# %% [markdown]
# ## 1. Three ways to look at a digit
#
# - An **MLP** sees 64 numbers in a list. That pixel 9 lies beside pixel 10 means nothing to it.
# - An **RNN** reads the rows from top to bottom and keeps a state: an order, but one only.
# - A **CNN** slides the same 3 × 3 filters over the image: near pixels belong together, and a
#   stroke is a stroke wherever it lies.
#
# `xentjax.models.RNN` reads tokens. For rows of pixels we take its layer and put a head on it.


# %%
class RowReader(nnx.Module):
    """Reads an image row by row, then answers."""

    def __init__(self, width, *, rngs):
        self.layer = GRULayer(8, width, rngs=rngs)
        self.head = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x):
        rows = jnp.swapaxes(x, 0, 1)  # time first
        return self.head(self.layer(rows, jnp.ones(rows.shape[:2], bool))[-1])


def as_list(x):
    return x.reshape(-1, 64)


def as_rows(x):
    return x


def as_picture(x):
    return x[..., None]


@nnx.jit  # one program draws all weights
def newborn():
    rngs = nnx.Rngs(0)
    mlp = MLP(MLPConfig(64, (66,), dropout=0.2), rngs=rngs)
    return mlp, RowReader(35, rngs=rngs), CNN(CNNConfig(widths=(8, 16)), rngs=rngs)


views = {"MLP": as_list, "RNN": as_rows, "CNN": as_picture}
contestants = {
    name: (model, view) for (name, view), model in zip(views.items(), newborn(), strict=True)
}


def learn(model, x, steps, peak=0.01):
    """Trains with AdamW; the trained model, the training losses, and seconds a step."""
    result = fit(
        model,
        {"x": x, "labels": labels},
        optimizer="adamw",
        schedule=optim.schedule("warmup_cosine", peak, steps=steps),
        steps=steps,
        batch_size=64,
        show_validations=False,
    )
    model = result.state.to_model()
    model.eval()
    records = result.records
    seconds = (records[-1].seconds - records[1].seconds) / (records[-1].step - records[1].step)
    return model, records, seconds


@nnx.jit
def answers(model, x):
    return model(x).argmax(axis=-1)


# %% [markdown]
# Equal budgets: about 5,000 parameters, 300 steps of 64 digits, the same optimizer and the same
# rates.

# %%
trained, seconds, right = {}, {}, {}
for name, (model, view) in contestants.items():
    trained[name], _, seconds[name] = learn(model, view(images), steps=300)
    right[name] = np.asarray(answers(trained[name], view(new_images))) == new_labels
    size = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(trained[name], nnx.Param)))
    found = wilson_interval(right[name].sum(), len(new_labels))
    print(
        f"{name}: {size} parameters, {right[name].mean():.1%} right, "
        f"95 % interval {float(found.low):.1%} to {float(found.high):.1%}"
    )
print("from the fastest step to the slowest:", ", ".join(sorted(seconds, key=seconds.get)))
for name in ("MLP", "RNN"):
    only = (right["CNN"] & ~right[name]).sum(), (right[name] & ~right["CNN"]).sum()
    print(f"only the CNN is right: {only[0]} digits; only the {name}: {only[1]}")

# %% [markdown]
# Intervals that overlap do not settle a question, and MLP and RNN are not to be told apart here.
# But all three judged the *same* digits, so look at those where two of them differ: there the CNN
# is right several times as often. It pays in arithmetic: its few weights are used at every place,
# so on a CPU its steps usually take the longest.
#
# ## 2. Every digit moves by one pixel


# %%
def moved(x, down, across):
    """Images moved by whole pixels, empty where nothing came in."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 - down : 9 - down, 1 - across : 9 - across]


figure, panels = plt.subplots(1, 3, figsize=(9.2, 3.3))
for axes, (name, (_, view)) in zip(panels, contestants.items(), strict=True):
    share = np.empty((3, 3))
    for i, down in enumerate((-1, 0, 1)):
        for j, across in enumerate((-1, 0, 1)):
            said = answers(trained[name], view(moved(new_images, down, across)))
            share[i, j] = np.mean(np.asarray(said) == new_labels)
    axes.imshow(share, cmap="Blues", vmin=0.2, vmax=1.3)
    for (i, j), value in np.ndenumerate(share):
        axes.text(j, i, f"{value:.0%}", ha="center", va="center", fontsize=12)
    axes.set_xticks([0, 1, 2], labels=["left", "stay", "right"])
    axes.set_yticks([0, 1, 2], labels=["up", "stay", "down"])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(name)
    print(f"{name}: {share[1, 1]:.1%} unmoved, {share[[1, 1], [0, 2]].mean():.1%} sideways")
figure.suptitle("The share named correctly after a move of one pixel", x=0.28)
plt.show()

# %% [markdown]
# Here you see the assumptions. The MLP breaks in every direction: for it a moved digit is a new
# list of numbers. The RNN forgives up and down, which for a reader of rows is a little earlier or
# later, and breaks sideways. The CNN forgives sideways moves far better than both. But not fully,
# and up and down not always: its filters notice the empty border, a digit here fills all eight
# rows, so a row of ink falls off the edge, and none of the three has ever seen a moved digit. An
# assumption is a good start; data that vary teach the rest (exercise 1).
#
# ## 3. What the first filters look for

# %%
stem = np.asarray(trained["CNN"].stem.kernel[...])[:, :, 0]
shown = [int(np.flatnonzero(new_labels == digit)[0]) for digit in (0, 7)]


@nnx.jit
def first_maps(model, x):
    return jax.nn.relu(model.stem_norm(model.stem(x)))


maps = np.asarray(first_maps(trained["CNN"], as_picture(new_images[shown])))
figure, panels = plt.subplots(3, 9, figsize=(9.6, 3.4))
size = np.abs(stem).max()
for k in range(8):
    panels[0, k + 1].imshow(stem[:, :, k], cmap="RdBu_r", vmin=-size, vmax=size)
    for row in (0, 1):
        panels[row + 1, k + 1].imshow(maps[row, :, :, k], cmap="gray_r", vmin=0, vmax=maps.max())
for row in (0, 1):
    panels[row + 1, 0].imshow(new_images[shown[row]], cmap="gray_r")
    panels[row + 1, 0].set_ylabel(f"a {new_labels[shown[row]]}")
panels[0, 0].set_visible(False)
for axes in panels.flat:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
panels[0, 1].set_ylabel("filter")
figure.suptitle("Eight filters (red adds, blue takes away) and where they answer", x=0.33)
plt.show()

# %% [markdown]
# Nobody told the filters what to be. Some answer to upper edges, some to strokes that lean one way,
# some to the empty ground. Later layers put such answers together. With nine weights each, these
# are about the only weights of a network that one can read by eye.
#
# ## 4. Activations and their slopes
#
# Without an activation between them, two layers are one. Which one you take matters for what comes
# *back*: each layer multiplies the gradient by its slope.

# %%
inputs = jnp.linspace(-5, 5, 401)
figure, panels = plt.subplots(1, 4, figsize=(9.6, 2.8), sharey=True)
for axes, name in zip(panels, ("sigmoid", "tanh", "relu", "gelu"), strict=True):
    f = activation(name)
    slopes = jax.vmap(jax.grad(f))(inputs)
    axes.axhline(0, color=GREY, lw=0.6)
    axes.plot(inputs, f(inputs), color=BLUE, lw=2)
    axes.plot(inputs, slopes, color=ORANGE, lw=1.6)
    axes.set(xlim=(-5, 5), ylim=(-1.2, 2), title=f"{name}: slope ≤ {slopes.max():.2f}")
panels[0].text(-4.7, 1.6, "value", color=BLUE)
panels[0].text(-4.7, 1.25, "slope", color=ORANGE)
plt.show()

# %% [markdown]
# The sigmoid's slope is never above 1/4. Tanh reaches 1, at one point. Relu has slope 1 on half
# of the line and 0 on the other half; gelu is a smooth relu, a little above 1 in places.
#
# ## 5. Twelve layers deep


# %%
class Deep(nnx.Module):
    """Layers of 32 units; `residual` adds each layer to what it reads."""

    def __init__(self, name, *, gain=1.0, residual=False, depth=12):
        rngs = nnx.Rngs(3)
        self.f, self.residual, self.depth = activation(name), residual, depth
        draw = nnx.initializers.variance_scaling(gain**2, "fan_in", "normal")
        widths = [64] + [32] * depth
        self.layers = nnx.List(
            [nnx.Linear(a, 32, kernel_init=draw, rngs=rngs) for a in widths[:-1]]
        )
        self.head = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        x = self.f(self.layers[0](x))
        for layer in self.layers[1:]:
            step = self.f(layer(x))
            x = x + step / self.depth**0.5 if self.residual else step
        return self.head(x)


nets = {
    "sigmoid": (Deep("sigmoid"), GREY),
    "relu": (Deep("relu"), PINK),
    "relu, He's start": (Deep("relu", gain=2**0.5), ORANGE),
    "relu, residual": (Deep("relu", residual=True), BLUE),
}
flat = as_list(images)
figure, (left, side) = plt.subplots(1, 2, figsize=(9.6, 3.8))
for name, (net, color) in nets.items():
    layers = layer_sizes(net, flat[:300], labels[:300])
    ratio = gradient_ratio(layers)
    print(
        f"{name:17} first ÷ last gradient {ratio.value:8.1e} ({ratio.low:.1e} to {ratio.high:.1e})"
    )
    left.semilogy(range(1, 14), [layer.gradient for layer in layers], ".-", color=color, label=name)
    if name == "relu":
        continue
    _, records, _ = learn(net, flat, steps=200, peak=0.003)
    side.plot([r.step for r in records], [r.loss_nats for r in records], color=color)
left.set(xlabel="layer", ylabel="gradient at its output", xticks=[1, 4, 7, 10, 13])
left.set(title="Before training: what comes back to each layer")
side.axhline(np.log(10), color="k", lw=0.6)
side.set(xlim=(0, 200), ylim=(0, 2.6), xlabel="step", ylabel="training loss (nats)")
side.set(title="Training: the sigmoid net stands still")
left.legend(loc="lower right")
plt.show()

# %% [markdown]
# On the left, time runs backward from right to left. Each sigmoid layer leaves about a quarter of
# the gradient; after twelve nothing is left, and the net on the right never leaves log 10, the loss
# of guessing. With relu and weights of variance 1/n (LeCun's start) about 0.7 is left of each, as
# relu blocks half of the signal. Variance 2/n, **He's start**, makes up for that. A **residual**
# net needs no such care: each layer adds to what it reads, so there is always a path of slope 1
# back to the first layer. (Its curve is lower in between because the picture shows the slope at
# each layer's own output, which counts by 1/√12 here.) `xentjax audit` draws the left picture for
# your own model.
#
# ## 6. Two modes: training and evaluation
#
# **Dropout** silences random units in training, so that no unit can rely on another. **Batch norm**
# measures each channel's mean and variance in the batch, and divides by it. Both make the answer
# for one image depend on chance. In evaluation both must not.

# %%
dropped = trained["MLP"]  # it has dropout 0.2
of_label = jax.nn.softmax(trained["CNN"](as_picture(new_images)))
of_label = np.asarray(of_label)[np.arange(len(new_labels)), new_labels]
one = int(np.where(right["MLP"] & right["CNN"], of_label, 1).argmin())  # right, but not sure
label = int(new_labels[one])
rng = np.random.default_rng(0)


def share_of_label(model, x):
    return jax.nn.softmax(model(x))[:, label]


def with_company(model, batches):
    """The first row's answer in each batch; the model's own statistics stay as they were."""
    graph, state = nnx.split(model)
    return jax.jit(jax.vmap(lambda x: share_of_label(nnx.merge(graph, state, copy=True), x)[0]))(
        batches
    )


company = np.stack([new_images[np.r_[one, rng.choice(len(new_images), 15)]] for _ in range(300)])[
    ..., None
]
both = {}
for mode in ("train", "eval"):
    getattr(dropped, mode)()
    both["dropout", mode] = np.asarray(
        share_of_label(dropped, np.repeat(as_list(new_images[[one]]), 300, axis=0))
    )
    getattr(trained["CNN"], mode)()
    both["batch norm", mode] = np.asarray(with_company(trained["CNN"], company))

figure, panels = plt.subplots(1, 2, figsize=(9.6, 3.3))
for axes, layer in zip(panels, ("dropout", "batch norm"), strict=True):
    train, evaluation = both[layer, "train"], both[layer, "eval"]
    axes.hist(train, bins=np.linspace(0, 1, 41), color=ORANGE, alpha=0.6, label="training mode")
    axes.axvline(evaluation[0], color=BLUE, lw=2, label="evaluation mode")
    axes.set(xlim=(0, 1.02), xlabel="probability given to the label", ylabel="of 300 answers")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.legend(loc="upper left")
    same = bool(np.ptp(evaluation) < 1e-5)
    print(
        f"{layer:10} training: {train.min():.2f} to {train.max():.2f}, evaluation the same: {same}"
    )
panels[0].set_title("Dropout: one image, 300 draws of units")
panels[1].set_title("Batch norm: one image, 300 sets of neighbours")
plt.show()

# %% [markdown]
# In training mode the same image gets 300 answers; in evaluation mode one, whatever its
# neighbours. Dropout then keeps all units (they were scaled up in training, so each unit's mean
# stays); batch norm uses running averages of what it saw in training. Two classic bugs follow:
# judging a model in training mode, and never updating the running averages. `fit` and
# `make_evaluate` see to both; in a loop of your own, call `model.train()` and `model.eval()`.
#
# ## 7. Gradient checkpointing
#
# Backward needs what forward computed (notebook 4: *forward, and keep h*), so memory grows with
# depth. **Checkpointing** keeps only what enters each block and computes the inside again on the
# way back.

# %%
stack = {
    "in": 0.2 * jax.random.normal(jax.random.key(0), (24, 64, 256)),
    "out": 0.02 * jax.random.normal(jax.random.key(1), (24, 256, 64)),
    "head": 0.1 * jax.random.normal(jax.random.key(2), (64, 10)),
}


def block(x, weights):
    return x + jax.nn.gelu(x @ weights["in"]) @ weights["out"], None


def deep_loss(stack, body):
    x, _ = jax.lax.scan(body, jnp.asarray(flat), {k: stack[k] for k in ("in", "out")})
    return softmax_cross_entropy(x @ stack["head"], labels, reduction="mean")


gradients = {}
for name, body in [("keeps everything", block), ("checkpointed", jax.checkpoint(block))]:
    compiled = jax.jit(jax.grad(lambda s, body=body: deep_loss(s, body))).lower(stack).compile()
    gradients[name] = compiled(stack)
    print(f"{name:17} {compiled.memory_analysis().temp_size_in_bytes / 1e6:6.0f} MB")
kept, again = (jnp.concatenate([leaf.ravel() for leaf in g.values()]) for g in gradients.values())
apart = jnp.abs(kept - again).max() / jnp.abs(kept).max()
print("same gradient to 1e-5 of its size:", bool(apart < 1e-5))

# %% [markdown]
# One more forward pass, a third more work, for a fraction of the memory. The numbers are the same,
# because they come from the same operations. `GPTConfig(remat=...)` does this for the GPT.
#
# ## Exercises
#
# **1. Teach the move.** Train the MLP and the CNN on digits moved at random
# (`xentjax.models.random_shift`, or `moved` with all nine moves joined). Who gains most?
#
# <details><summary>Answer</summary>
#
# Compare the mean of all nine shares, not the middle one. In 300 steps on all nine moves the MLP's
# goes from about 40 to 86 %, the CNN's from 59 to 98 %. The MLP gains most, for what it does not
# assume, the data must say; and it pays, with some points of its share in the middle. The CNN does
# not, and stays ahead.
#
# </details>
#
# **2. Read sideways.** Give the `RowReader` columns in place of rows. Which of its nine shares
# swap?
#
# <details><summary>Answer</summary>
#
# Up and down with left and right: it forgives moves along the axis that it reads.
#
# </details>
#
# **3. Where a sigmoid belongs.** Gates of an LSTM are sigmoids and do not vanish. Why?
#
# <details><summary>Answer</summary>
#
# The gradient goes back along the cell state, which is multiplied by the gate's *value*, not its
# slope: near 1 when the gate is open. It is the residual path of a recurrent net.
#
# </details>
