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
# # Exactness: what a loss may not do behind your back
#
# At the end of this notebook you can
#
# - say from which margin on a loss in float32 is made of rounding, and why;
# - tell a mask of examples from a mask of classes, and check that neither lets a NaN through;
# - recognise the four quiet faults of a label: negative, too large, padding, and the wrong dtype;
# - decide whether your 16-bit logits lose what you think they lose;
# - test all of this on a loss you did not write.
#
# Every cell asks the same question of [optax](https://optax.readthedocs.io), the library most JAX
# code takes its losses from, and of xentjax. Optax is a good library, and on ordinary inputs the
# two agree to the last digits. Here we look at the inputs that are not ordinary, because training
# runs meet them at night. It takes half a minute to run.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import xentjax

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

theirs = optax.losses.softmax_cross_entropy_with_integer_labels
ours = xentjax.softmax_cross_entropy


def both(title, call):
    """What both losses say, errors included."""
    print(title)
    for name, loss in [("optax", theirs), ("xentjax", ours)]:
        try:
            print(f"  {name:8}", call(loss))
        except (TypeError, ValueError) as error:
            print(f"  {name:8}", f"{type(error).__name__}: {error}")


# %% [markdown]
# ## 1. They agree where nothing is at stake
#
# A thousand random rows with ten classes, logits of ordinary size. The truth is computed in float64
# from the formula of the textbook, which is harmless there: float64 has digits to spare.

# %%
rng = np.random.default_rng(0)
logits = rng.normal(scale=3, size=(1000, 10)).astype(np.float32)
labels = rng.integers(0, 10, 1000)


def truth(logits, labels):
    """The loss of each row in float64, from differences to the label."""
    x = np.asarray(logits, np.float64)
    difference = x - np.take_along_axis(x, labels[:, None], axis=1)
    others = np.where(np.arange(x.shape[1]) == labels[:, None], -np.inf, difference)
    top = np.maximum(others.max(axis=1), 0)
    rest = np.exp(others - top[:, None]).sum(axis=1)
    # log(1 + Σ e^d) without forming e^d of a large d, nor losing the 1.
    return np.where(top > 0, top + np.log(np.exp(-top) + rest), np.log1p(rest))


exact = truth(logits, labels)
for name, loss in [("optax", theirs), ("xentjax", ours)]:
    found = np.asarray(loss(jnp.asarray(logits), jnp.asarray(labels)), np.float64)
    print(f"{name:8} largest error {np.abs(found - exact).max():.1e} nats")

# %% [markdown]
# Both are right to seven digits. A difference of $10^{-7}$ nats is what float32 can do.
#
# ## 2. Where the label leads
#
# Now sort the same kind of rows by how far the label leads, and look at the *relative* error: the
# share of the number that is wrong.

# %%
wide = rng.normal(scale=3, size=(20000, 10)).astype(np.float32)
winners = wide.argmax(axis=1)
wide[np.arange(len(wide)), winners] += rng.uniform(0, 40, len(wide)).astype(np.float32)
exact = truth(wide, winners)
lead = np.take_along_axis(wide, winners[:, None], 1)[:, 0] - np.sort(wide, axis=1)[:, -2]

figure, axes = plt.subplots(figsize=(6.8, 3.6))
for loss, name, color in [(theirs, "optax", ORANGE), (ours, "xentjax", BLUE)]:
    found = np.asarray(loss(jnp.asarray(wide), jnp.asarray(winners)), np.float64)
    error = np.maximum(np.abs(found / exact - 1), 1e-9)
    axes.semilogy(lead, error, ".", ms=2, color=color, label=name, rasterized=True)
axes.axhline(1, color=GREY, lw=1)
axes.text(40, 1.3, "nothing of the number is left", color=GREY, ha="right")
axes.set(xlabel="lead of the label over the best other class", ylabel="relative error of the loss")
axes.set(xlim=(0, 42), ylim=(6e-10, 10), title="The better the model knows, the less is left")
axes.legend(loc="center right", markerscale=5)
plt.show()

# %% [markdown]
# The orange cloud rises by a factor of e for each unit of margin and hits the line at 1 by a lead
# of 16. From there on the loss comes out as exactly 0. The reason is in the formula:
# `logsumexp(x) − x[label]` is a difference of two numbers that agree in all their digits. xentjax
# adds up only what is *not* the label and takes `log1p` of it, so there is nothing to cancel. (The
# blue cloud has small steps at 8, 16 and 32: there the numbers of float32 become twice as coarse,
# and with them the differences of the logits.)
#
# The textbook formula is not wrong in the sum over a batch: there the large losses dominate. It is
# wrong wherever small losses are *compared*: ranking examples by difficulty, perplexities of a
# strong model on easy text, distillation of a confident teacher, or membership tests (notebook 11),
# which live on the difference between a loss of $10^{-6}$ and one of $10^{-9}$.
#
# ## 3. Where everything is far from zero
#
# Softmax does not care about a common offset. Float32 does: at ten million neighbouring numbers are
# 1 apart. The inputs below are exact in float32, so an honest answer exists.

# %%
far = jnp.array([[0.0, 1.0, -1.0]]) + 1e7
label = jnp.array([0])
both("loss at an offset of ten million, truth 1.4076", lambda loss: f"{loss(far, label)[0]:.4f}")

# %% [markdown]
# ## 4. A mask hides, or it does not
#
# Padded rows may hold anything. Often they hold NaN, because some layer before divided by a count
# of zero. The usual way to mask is to multiply the loss by 0. But 0 · NaN is NaN:

# %%
rows = jnp.array([[2.0, 1.0, 0.0], [jnp.nan, jnp.nan, jnp.nan]])
labels_of_rows = jnp.array([0, 0])
real = jnp.array([True, False])


def masked_by_product(logits):
    return jnp.sum(theirs(logits, labels_of_rows) * real) / jnp.sum(real)


def masked_by_where(logits):
    return ours(logits, labels_of_rows, where=real, reduction="mean")


for name, loss in [("optax, times mask", masked_by_product), ("xentjax, where=", masked_by_where)]:
    value, slope = jax.value_and_grad(loss)(rows)
    print(f"{name:18} loss {value:.4f}, gradient of the masked row {slope[1]}")

# %% [markdown]
# `jnp.where(mask, loss, 0)` after the fact repairs the value and not the gradient: the derivative
# of the row that was thrown away is still computed, and 0 · NaN is NaN on the way back too. The
# mask must go in *before* the loss.


# %%
def masked_after(logits):
    return jnp.sum(jnp.where(real, theirs(logits, labels_of_rows), 0.0)) / jnp.sum(real)


value, slope = jax.value_and_grad(masked_after)(rows)
print(f"where after the loss: loss {value:.4f}, gradient of the masked row {slope[1]}")

# %% [markdown]
# ## 5. Classes that are not possible
#
# A class is switched off by a logit of −∞: an illegal move, a token that may not come next. Its
# probability is 0 and so is its gradient. With soft labels of 0 on such a class the product
# 0 · log 0 appears, whose right value is 0.

# %%
with_impossible = jnp.array([[2.0, 1.0, -jnp.inf]])
soft = jnp.array([[0.75, 0.25, 0.0]])
print("truth    0.5633  [0.731 - 0.75, 0.269 - 0.25, 0]")
for name, loss in [("optax", optax.losses.softmax_cross_entropy), ("xentjax", ours)]:
    value, slope = jax.value_and_grad(lambda x, loss=loss: loss(x, soft)[0])(with_impossible)
    print(f"{name:8} {value:.4f}  {np.asarray(slope[0]).round(4)}")

# %% [markdown]
# ## 6. Labels that do not exist
#
# JAX reads index −1 as "the last one" and, past the end, has no exception to throw. So a label
# outside the classes is either silently taken for another class or gives a NaN in the value with a
# *finite, wrong* gradient. The second is worse: the loss says NaN, somebody skips the step "because
# of NaN", and the gradient would have looked fine.

# %%
three = jnp.array([[2.0, 1.0, 0.0]])
for label in (-1, 3, 300):
    both(f"label {label}", lambda loss, label=label: loss(three, jnp.array([label])))

# %%
print("gradient under jit, where nothing can be raised")
for label in (-1, 3):
    for name, loss in [("optax", theirs), ("xentjax", ours)]:
        total = jax.jit(jax.grad(lambda x, y, loss=loss: jnp.sum(loss(x, y))))
        print(f"  label {label:2}, {name:8}", np.asarray(total(three, jnp.array([label]))[0]))

# %% [markdown]
# If −1 or −100 *means* padding, say so: `ignore_index=-100` leaves exactly those out, and any other
# bad label is still caught.

# %%
print(ours(three.repeat(2, 0), jnp.array([0, -100]), ignore_index=-100))

# %% [markdown]
# Labels that are floating-point numbers are a distribution here, never an index. Shapes tell the
# difference, and a mix-up is an error rather than a broadcast:

# %%
try:
    ours(three, jnp.array([0.0]))
except (TypeError, ValueError) as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ## 7. Sixteen bits in, thirty-two out
#
# Models compute in bfloat16, which has eight bits of mantissa. Rounding the *logits* to it is a
# choice one makes with open eyes. Carrying out the sum over the vocabulary in it is not, and the
# result of a loss in bfloat16 has two digits. xentjax computes in float32 whatever comes in, and
# gives the gradient back in the dtype of the input.

# %%
vocabulary = 50_000
half = jnp.asarray(rng.normal(size=(1, vocabulary)), jnp.bfloat16)
target = jnp.array([7])
reference = truth(np.asarray(half, np.float32), np.array([7]))[0]
for name, loss in [("optax", theirs), ("xentjax", ours)]:
    found = loss(half, target)
    print(f"{name:8} {found.dtype}: {float(found[0]):.5f}   (truth {reference:.5f})")

# %% [markdown]
# ## 8. The mean of nothing
#
# A batch whose rows are all masked happens: the last one of an epoch, a shard of padding. Its mean
# is 0/0.

# %%
nobody = jnp.zeros(2, bool)
value, slope = jax.value_and_grad(
    lambda x: ours(x, labels_of_rows, where=nobody, reduction="mean")
)(rows)
print(f"xentjax: loss {value}, gradient {np.asarray(slope).ravel()}")

# %% [markdown]
# Zero, with a gradient of zero: the step does nothing, which is what an empty batch should teach.
#
# ## 9. The same for yes-or-no labels
#
# The binary cross-entropy has its own cancellation: at logit 20 and label 1 the loss is
# $2.06 \cdot 10^{-9}$. Both libraries get the value. The probability-space formula that one finds
# in many tutorials does not:

# %%
x = jnp.array(20.0)
print("tutorial  ", -jnp.log(jax.nn.sigmoid(x)))
print("optax     ", optax.losses.sigmoid_binary_cross_entropy(x, jnp.array(1.0)))
print("xentjax   ", xentjax.sigmoid_cross_entropy(x, jnp.array(1.0)))

# %% [markdown]
# ## A checklist to keep
#
# | question | test in one line |
# |---|---|
# | Is a small loss a number or a rounding? | `loss([m, 0], 0)` at m = 20: is it $e^{-20}$? |
# | Does an offset matter? | add $10^{7}$ to all logits |
# | Does the mask hide NaN, in the gradient too? | put NaN in a masked row, take `grad` |
# | Is a bad label noticed, under jit too? | label −1 and label C |
# | Is the mean of nothing 0? | mask everything |
#
# xentjax keeps such a list as code: `xentjax.testing.assert_loss_contract` runs sixteen clauses on
# any loss, yours included. That is notebook 12.
#
# ## Exercises
#
# **1. How far does float64 carry?** From which margin on is `logsumexp(x) − x[0]` exactly 0 in
# float64? Work it out first: float64 numbers between 32 and 64 are $2^{-47}$ apart.
#
# <details><summary>Answer</summary>
#
# The result is 0 once $e^{-m}$ is below half the spacing of numbers near m. Between 32 and 64 that
# is $2^{-48} = e^{-33.3}$: from a margin of 34 on. Twice the digits buy twice the margin, not
# exactness.
#
# </details>
#
# **2. A clip is not a cure.** Replace the textbook's result by `max(loss, 1e-7)`. What is its
# gradient for a row with margin 20, and what for one with margin 10?
#
# <details><summary>Answer</summary>
#
# At margin 20 the maximum picks the constant, and the gradient is exactly 0. At margin 10 the loss
# is $4.5 \cdot 10^{-5}$ and nothing is clipped. The clip hides the fault and kills the slope.
#
# </details>
#
# **3. The other mask.** `where` masks examples. Which argument of `softmax_cross_entropy` masks
# classes, and how does it differ from adding −1e9 to a logit?
#
# <details><summary>Answer</summary>
#
# `class_where`. The masked class leaves no trace: it has probability exactly 0 and may hold NaN; a
# label on it costs +∞ instead of a billion that looks like a number.
#
# </details>
