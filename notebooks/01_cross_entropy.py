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
# # Cross-entropy from the ground
#
# At the end of this notebook you can
#
# - work out a cross-entropy by hand, and say it in nats and in bits;
# - split it into a part that learning can remove and a part that it cannot;
# - say why classifiers are trained on a logarithm and not on a squared error;
# - write down its gradient and its Hessian without looking them up;
# - notice three quiet faults: a loss that rounds to zero, a label that does not exist, a mean
#   that is not the mean;
# - train a classifier on real data in twenty lines.
#
# You need a little NumPy and school calculus. It takes half an hour to read and less than a
# minute to run on a laptop. Install with `pip install "xentjax[demo]"`.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import xentjax

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

# %% [markdown]
# ## 1. One guess
#
# A model looks at a picture and says: 70 % cat, 30 % dog. The picture is a cat. The loss is minus
# the logarithm of the probability given to the truth.

# %%
print(f"it was a cat: -log 0.7 = {-np.log(0.7):.4f}")
print(f"it was a dog: -log 0.3 = {-np.log(0.3):.4f}")

# %% [markdown]
# Models do not put out probabilities. They put out **logits**: any real numbers, which softmax
# turns into probabilities, $p_c = e^{x_c} / \sum_j e^{x_j}$. The logits log 7 and log 3 give 70 %
# and 30 %. Labels are class indices: 0 for cat, 1 for dog.

# %%
logits = jnp.log(jnp.array([7.0, 3.0]))
cat, dog = jax.nn.softmax(logits)
if_cat = xentjax.softmax_cross_entropy(logits, 0)
if_dog = xentjax.softmax_cross_entropy(logits, 1)
print(f"probabilities: cat {cat:.1f}, dog {dog:.1f}")
print(f"losses:        if a cat {if_cat:.4f}, if a dog {if_dog:.4f}")

# %% [markdown]
# The same number added to every logit changes nothing. Only differences between logits matter, and
# the lead of the label over the others has a name: the **margin**.

# %%
print(f"{xentjax.softmax_cross_entropy(logits + 5.0, 0):.4f}")

# %% [markdown]
# ## 2. Nats, bits, and the part you cannot learn away
#
# With the natural logarithm the unit is the **nat**. With the logarithm to base 2 it is the
# **bit**, the answer to one yes-or-no question. One bit is 0.693 nats.
#
# Say the weather is sunny half of the days, cloudy a quarter and rainy a quarter. "Is it sunny?"
# settles half of the days with one question. The other half needs a second: "is it cloudy?" That
# is 1.5 questions on average, and 1.5 bits is the **entropy** of the weather.

# %%
truth = jnp.array([0.5, 0.25, 0.25])
entropy = xentjax.entropy(jnp.log(truth))
in_bits = xentjax.bits(entropy)
print(f"by hand: {0.5 * 1 + 0.25 * 2 + 0.25 * 2} bits")
print(f"xentjax: {in_bits:.4f} bits = {entropy:.4f} nats")

# %% [markdown]
# A forecaster believes 70 % sun, 20 % clouds, 10 % rain. The average of her −log p over the days
# that really come is the **cross-entropy**. What she pays above the entropy is the
# **Kullback-Leibler divergence**, KL for short: the price of believing the wrong thing.
#
# $$\underbrace{-\sum_c t_c \log p_c}_{\text{cross-entropy}} \;=\;
# \underbrace{-\sum_c t_c \log t_c}_{\text{entropy}} \;+\;
# \underbrace{\sum_c t_c \log \frac{t_c}{p_c}}_{\text{KL}}$$
#
# Labels that are floating-point numbers are read as a distribution over the classes.

# %%
forecast = jnp.log(jnp.array([0.7, 0.2, 0.1]))
cross_entropy = xentjax.softmax_cross_entropy(forecast, truth)
kl = xentjax.kl_divergence(forecast, truth)

names = ["entropy", "KL", "entropy + KL", "cross-entropy"]
nats = jnp.stack([entropy, kl, entropy + kl, cross_entropy])
bits = xentjax.bits(nats)
print("                 nats     bits")
for row in zip(names, nats, bits, strict=True):
    print("{:14} {:7.4f}  {:7.4f}".format(*row))

# %% [markdown]
# Now a coin that shows heads 70 % of the time, and every model of it from 0 to 100 %.

# %%
heads = 0.7
model = jnp.linspace(0.005, 0.995, 199)
model_logits = jnp.stack([jnp.log(model), jnp.log1p(-model)], axis=-1)
coin = jnp.broadcast_to(jnp.array([heads, 1 - heads]), model_logits.shape)
total = xentjax.bits(xentjax.softmax_cross_entropy(model_logits, coin))
floor = xentjax.bits(xentjax.entropy(jnp.log(coin[0])))

figure, axes = plt.subplots(figsize=(6.4, 3.6))
axes.fill_between(model, 0, floor, color=GREY, alpha=0.18, lw=0)
axes.fill_between(model, floor, total, color=BLUE, alpha=0.18, lw=0)
axes.plot(model, total, color=BLUE, lw=2)
axes.plot(heads, floor, "o", color=BLUE)
line = {"arrowstyle": "-", "color": GREY}
axes.annotate("believes the truth: 0.7", (heads, floor), (0.7, 1.6), ha="center", arrowprops=line)
axes.text(0.5, floor / 2, f"entropy of the coin: {floor:.2f} bits", ha="center", va="center")
axes.text(0.03, 0.97, "KL: what a better model saves", color=BLUE)
axes.set(xlim=(0, 1), ylim=(0, 3), title="Cross-entropy = entropy + KL")
axes.set(xlabel="probability of heads, as the model believes", ylabel="bits per throw")
plt.show()

# %% [markdown]
# Training moves you along the curve. The grey floor stays: it is the chance in the data. So a loss
# that no longer falls is not always a model that no longer learns.
#
# ## 3. Why a logarithm
#
# You could also punish a wrong guess by its squared error, $\sum_c (p_c - y_c)^2$. Both losses are
# 0 at certainty. The difference is in the gradient that reaches the logits.

# %%
margin = jnp.linspace(-10.0, 10.0, 201)
two_logits = jnp.stack([margin, jnp.zeros_like(margin)], axis=-1)
is_cat = jnp.array([1.0, 0.0])


def log_loss(x):
    return xentjax.softmax_cross_entropy(x, 0)


def squared_loss(x):
    return xentjax.squared_error(jax.nn.softmax(x), is_cat, reduction="sum")


def pull(loss):
    """How hard one example pulls its label's logit up, at each margin."""
    return -jax.vmap(jax.grad(loss))(two_logits)[:, 0]


# %%
probability = jax.nn.softmax(two_logits)[:, 0]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
for loss, name, color in [
    (log_loss, "cross-entropy", BLUE),
    (squared_loss, "squared error", ORANGE),
]:
    left.plot(probability, jax.vmap(loss)(two_logits), color=color, lw=2)
    right.plot(margin, pull(loss), color=color, lw=2, label=name)
left.set(xlim=(0, 1), ylim=(0, 5), title="The loss")
left.set(xlabel="probability given to the label", ylabel="loss")
right.set(xlim=(-10, 10), ylim=(0, 1.1), xticks=[-10, -5, 0, 5, 10], title="What it teaches")
right.set(xlabel="margin of the label", ylabel="pull on the label's logit")
right.text(-9.5, 0.52, "confidently\nwrong", va="center", color=GREY)
right.text(9.5, 0.52, "confidently\nright", va="center", ha="right", color=GREY)
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# At the right end of each panel the losses agree: nothing to learn. At a margin of −10 the model is
# sure and wrong. Cross-entropy pulls with its full force of 1. The squared error hardly pulls at
# all, because softmax is flat there and the square has no way to make up for it. The logarithm
# does: its slope 1/p cancels the p that softmax brings.

# %%
wrong = jnp.array([-10.0, 0.0])
strong, weak = -jax.grad(log_loss)(wrong)[0], -jax.grad(squared_loss)(wrong)[0]
print(f"pull of cross-entropy at margin -10: {strong:.5f}")
print(f"pull of squared error at margin -10: {weak:.5f}")

# %% [markdown]
# ## 4. The gradient and the Hessian
#
# The gradient in the logits is as plain as can be: **what the model says minus what is true**,
# $\nabla l = p - y$. Its entries add up to 0, for what one class gains the others lose.

# %%
logits = jnp.array([2.0, 1.0, 0.0])
label = 0
p = jax.nn.softmax(logits)
y = jax.nn.one_hot(label, 3)

gradient = jax.grad(xentjax.softmax_cross_entropy)(logits, label)
np.set_printoptions(precision=4, suppress=True)
print("p - y   ", np.asarray(p - y))
print("jax.grad", np.asarray(gradient))

# %% [markdown]
# Differentiate once more and the label is gone: the Hessian is $\mathrm{diag}(p) - p p^T$,
# the covariance of a one-hot draw from p.

# %%
by_hand = np.asarray(jnp.diag(p) - jnp.outer(p, p))
by_jax = np.asarray(jax.hessian(xentjax.softmax_cross_entropy)(logits, label))
print(by_hand)
print(by_jax)
print("largest difference below 1e-6:", np.abs(by_hand - by_jax).max() < 1e-6)

# %% [markdown]
# A covariance has no negative eigenvalue. So the loss is **convex** in the logits: there is no
# valley to get stuck in. One direction is flat: all logits up together.

# %%
along_ones = by_jax @ np.ones(3)
eigenvalues = np.linalg.eigvalsh(by_jax)
print("flat along (1, 1, 1), to 1e-6:  ", np.abs(along_ones).max() < 1e-6)
print("no eigenvalue negative, to 1e-6:", eigenvalues.min() > -1e-6)

# %% [markdown]
# ## 5. A loss that rounds to zero
#
# The textbook computes the loss as $\log \sum_j e^{x_j} - x_y$, and so do most libraries. When the
# label leads by 15, these are two numbers near 15 whose difference is 0.0000003. Between 8 and 16
# the float32 numbers are 0.000001 apart. The difference drowns.
#
# Here are three sets of logits with label 0, in [optax](https://optax.readthedocs.io) and in
# xentjax. The truth is computed in float64.

# %%
optax_loss = optax.softmax_cross_entropy_with_integer_labels
xentjax_loss = xentjax.softmax_cross_entropy


def float64_truth(logits):
    """The loss of label 0 and its slope, from the logits' differences to the label."""
    others = np.exp(np.asarray(logits, np.float64)[1:] - float(logits[0])).sum()
    return np.log1p(others), -others / (1 + others)


cases = {
    "[15, 0]": jnp.array([15.0, 0.0]),
    "[50, 0]": jnp.array([50.0, 0.0]),
    "[0, 1, -1] + 1e7": jnp.array([0.0, 1.0, -1.0]) + 1e7,
}
table = [f"jax {jax.__version__}, optax {optax.__version__}, xentjax {xentjax.__version__}"]
table += ["", "logits            by             loss   slope of the label's logit"]
for name, x in cases.items():
    rows = {"float64": float64_truth(x)}
    for by, loss in [("optax", optax_loss), ("xentjax", xentjax_loss)]:
        rows[by] = (loss(x, 0), jax.grad(loss)(x, 0)[0])
    table += [f"{name:17} {by:8} {row[0]:10.4g}   {row[1]:10.4g}" for by, row in rows.items()]
print("\n".join(table))

# %% [markdown]
# xentjax never subtracts two large numbers. It adds up only the classes that are *not* the label,
# all of them positive, and finishes with `log1p`:

# %%
x = cases["[50, 0]"]
rest = jnp.exp(x[1:] - x[0]).sum()
loss, slope = jnp.log1p(rest), -rest / (1 + rest)
print(f"loss {loss:.4g}, slope {slope:.4g}")

# %% [markdown]
# The same at every margin from 0 to 80. An error of 1 means that nothing of the number is left.

# %%
margin = jnp.linspace(0.0, 80.0, 321)
two_logits = jnp.stack([margin, jnp.zeros_like(margin)], axis=-1)
exact = np.exp(-np.asarray(margin, np.float64))
true_value, true_slope = np.log1p(exact), -exact / (1 + exact)


def relative_errors(loss):
    value, slope = jax.vmap(jax.value_and_grad(lambda x: loss(x, 0)))(two_logits)
    return (
        np.abs(np.asarray(value, np.float64) / true_value - 1),
        np.abs(np.asarray(slope[:, 0], np.float64) / true_slope - 1),
    )


figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
for loss, name, color in [(optax_loss, "optax", ORANGE), (xentjax_loss, "xentjax", BLUE)]:
    for axes, error in zip(panels, relative_errors(loss), strict=True):
        axes.semilogy(margin, np.maximum(error, 1e-9), ".", ms=3, color=color, label=name)
for axes, title in zip(panels, ["Value", "Gradient at the label"], strict=True):
    axes.axhline(2.0**-24, color=GREY, lw=1)
    axes.set(xlim=(0, 80), ylim=(7e-10, 10), xlabel="margin of the label", title=title)
panels[0].set_ylabel("relative error")
panels[0].legend(loc="center right", markerscale=4)
panels[1].text(79, 1.5e-7, "rounding of float32", ha="right", va="bottom", color=GREY)
plt.show()

# %% [markdown]
# From a margin of 15 on the common formula returns 0 for the value, and from 17 on also for the
# label's slope. xentjax stays at the rounding of float32. (Errors below $10^{-9}$ are drawn at
# $10^{-9}$.)
#
# Does it matter? An example with a loss of $10^{-22}$ has nothing left to teach, so an ordinary
# training run will not notice. It matters where small losses are *read*: to rank examples by how
# well they are known, or to compare two models that are both nearly perfect. The large offset is
# the worse case: there 1.41 became 1.
#
# ## 6. A label that does not exist
#
# Padding is often marked with the label −1. Arrays in JAX count −1 from the end, so a loss that
# looks up the label's logit finds the *last class*, and trains on it.

# %%
logits = jnp.array([[2.0, 1.0, 0.0], [0.5, 2.5, 0.0]])
with_padding = jnp.array([0, -1])

on_padding = optax_loss(logits, with_padding)
on_last_class = optax_loss(logits, jnp.array([0, 2]))
print("optax, labels 0 and -1:", on_padding)
print("optax, labels 0 and  2:", on_last_class)

# %% [markdown]
# No error, no NaN, and the model learns that padding is class 2. xentjax stops and says where:

# %%
try:
    xentjax.softmax_cross_entropy(logits, with_padding)
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# Inside `jit` nothing can be raised, so the loss *and* its gradient become NaN, which no training
# run overlooks. If −1 is meant as padding, say so, and the row costs nothing and teaches nothing.

# %%
jitted = jax.jit(xentjax.softmax_cross_entropy)(logits, with_padding)
ignored = xentjax.softmax_cross_entropy(logits, with_padding, ignore_index=-1)
print("jit:         ", jitted)
print("ignore_index:", ignored)

# %% [markdown]
# ## 7. Hard labels, soft labels, smoothing
#
# A class index is shorthand for a distribution with everything on one class. Both go through one
# function, and they agree.

# %%
labels = jnp.array([0, 2])
hard = xentjax.softmax_cross_entropy(logits, labels)
soft = xentjax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, 3))
print("hard:", hard)
print("soft:", soft)

# %% [markdown]
# **Label smoothing** takes a share α from the label and spreads it evenly over all K classes. With
# α = 0.1 and three classes the target of the label is 0.9333 and of each other 0.0333. The margin
# then has a best value, where p equals the target, and being surer than that costs.

# %%
smooth = 0.1
target = 1 - smooth + smooth / 3
best = np.log(target / (smooth / 3))
three = jnp.array([[1.0, 0.0, 0.0], [best, 0.0, 0.0], [6.0, 0.0, 0.0]])
smoothed = xentjax.softmax_cross_entropy(three, jnp.zeros(3, int), label_smoothing=smooth)
for row in zip(three[:, 0], jax.nn.softmax(three)[:, 0], smoothed, strict=True):
    print("margin {:.2f}: label at {:.4f}, loss {:.4f}".format(*row))

# %% [markdown]
# ## 8. A mean that is the mean
#
# Sentences differ in length and are padded to one length. `where` says which positions are real.
# "mean" then divides by the number of real positions.

# %%
token_logits = jnp.array([[[2.0, 0.0]] * 4, [[0.0, 2.0]] * 4])
tokens = jnp.zeros((2, 4), int)
real = jnp.array([[True, True, True, True], [True, False, False, False]])

losses = xentjax.softmax_cross_entropy(token_logits, tokens, where=real)
mean_loss = xentjax.reduce(losses, where=real)
by_hand = (4 * losses[0, 0] + losses[1, 0]) / 5
print(losses)
print(f"mean {mean_loss:.4f}, by hand {by_hand:.4f}")

# %% [markdown]
# Across batches or devices a mean of means goes wrong, because a short batch counts as much as a
# long one. Carry the total and the weight, add both up, and divide once at the end.

# %%
means = [xentjax.reduce(losses[i], where=real[i]) for i in range(2)]
pairs = [xentjax.total_and_weight(losses[i], where=real[i]) for i in range(2)]
total, weight = (sum(parts) for parts in zip(*pairs, strict=True))
mean_of_means, true_mean = sum(means) / 2, total / weight
print(f"mean of means {mean_of_means:.4f}, total / weight {true_mean:.4f}")

# %% [markdown]
# ## 9. A classifier for 150 flowers
#
# Fisher's iris data: four lengths, measured on 50 flowers of each of three species. We hold out 50
# flowers and train the smallest classifier there is, `logits = x @ w + b`, by plain gradient
# descent.

# %%
from sklearn.datasets import load_iris

flowers, species = load_iris(return_X_y=True)
order = np.random.default_rng(0).permutation(len(species))
train, held_out = order[:100], order[100:]

mean, spread = flowers[train].mean(axis=0), flowers[train].std(axis=0)
x = jnp.asarray((flowers - mean) / spread, jnp.float32)
y = jnp.asarray(species, jnp.int32)


# %%
def loss_on(params, rows):
    logits = x[rows] @ params["w"] + params["b"]
    return xentjax.softmax_cross_entropy(logits, y[rows], reduction="mean")


def step(params, _):
    loss, gradient = jax.value_and_grad(loss_on)(params, train)
    curves = (loss, loss_on(params, held_out))
    return jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient), curves


start = {"w": jnp.zeros((4, 3)), "b": jnp.zeros(3)}
params, (train_loss, held_out_loss) = jax.lax.scan(step, start, length=500)

# %% [markdown]
# Before the first step all logits are 0 and the model gives every species a third. Its loss must
# be log 3 = 1.0986. Check this in every project: it finds wrong labels and wrong means at once.

# %%
correct = jnp.argmax(x @ params["w"] + params["b"], axis=-1) == y
named = int(correct[held_out].sum())
first, last, last_held_out = train_loss[0], train_loss[-1], held_out_loss[-1]
print(f"loss before training: {first:.4f} nats (log 3 = {np.log(3):.4f})")
print(f"loss after 500 steps: {last:.4f} nats, {last_held_out:.4f} on the held-out flowers")
print(f"held-out flowers named correctly: {named} of {len(held_out)}")

# %%
steps = np.arange(1, 501)
figure, axes = plt.subplots(figsize=(6.4, 3.6))
axes.axhline(np.log(3), color=GREY, lw=1)
axes.text(500, np.log(3) - 0.02, "knows nothing: log 3", ha="right", va="top", color=GREY)
axes.semilogx(steps, train_loss, color=BLUE, lw=2)
axes.semilogx(steps, held_out_loss, color=ORANGE, lw=2)
axes.text(40, held_out_loss[39] + 0.02, "50 held-out flowers", color=ORANGE)
axes.text(28, train_loss[27] - 0.02, "100 training flowers", ha="right", va="top", color=BLUE)
axes.set(xlim=(1, 500), ylim=(0, 1.2), title="Learning to tell three species of iris apart")
axes.set(xlabel="gradient step", ylabel="cross-entropy (nats per flower)")
axes.set_xticks([1, 10, 100, 500], labels=["1", "10", "100", "500"])
plt.show()

# %% [markdown]
# The gap between the curves is the price of having seen only 100 flowers. Both still fall at the
# end, and slowly (each mark on the axis is a factor of ten in steps): the last flowers are the
# hard ones.
#
# ## Exercises
#
# **1. By hand.** A model gives the three classes 0, 1 and 2 the probabilities 1/2, 1/4 and 1/4. The
# label is 2. What is the loss in bits and in nats, and what is the gradient in the logits? Check
# both with `xentjax.softmax_cross_entropy` and `jax.grad`.
#
# <details><summary>Answer</summary>
#
# 2 bits, which is 2 log 2 = 1.3863 nats. The gradient is p − y = (1/2, 1/4, −3/4).
#
# </details>
#
# **2. Where it drowns.** Compute `jax.nn.logsumexp(x) - x[0]` in float32 for `x = [m, 0]` and find
# the first whole margin m that gives exactly 0. Why there?
#
# <details><summary>Answer</summary>
#
# 15. Between 8 and 16 the float32 numbers are $2^{-20}$ apart, and what is less than half of that,
# $2^{-21} = e^{-14.6}$, is rounded away. The difference is close to $e^{-m}$.
#
# </details>
#
# **3. A floor you made yourself.** Train on iris with `label_smoothing=0.1` and many more steps.
# The loss settles far above 0. Section 2 tells you which value it can never get below: work it out
# before you run.
#
# <details><summary>Answer</summary>
#
# The entropy of the smoothed labels, (0.9333, 0.0333, 0.0333): 0.2911 nats, the same number as in
# section 7. The loss stays above it, near 0.48: the rest is KL, since a linear model cannot give
# every flower exactly these probabilities.
#
# </details>
