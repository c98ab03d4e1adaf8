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
# # Bring your own loss
#
# At the end of this notebook you can
#
# - write a loss that JAX can transform any way it likes;
# - let `assert_loss_contract` look for the faults that training would show you a day later;
# - read what a broken clause says, and mend it;
# - say what the contract does *not* check.
#
# The loss we build is not in the package: the **spherical score**, $l = 1 - p_y / \lVert p \rVert$,
# a proper scoring rule like cross-entropy, but bounded: a single absurd label costs at most 1. We
# write it several times, each a little less wrong. A minute on a laptop.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from xentjax import reduce, softmax_cross_entropy
from xentjax.testing import assert_loss_contract

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"

# Five examples with three classes, far enough from ties.
logits = jnp.array(
    [[2.0, -1.0, 0.5], [0.0, 1.0, -2.0], [1.0, 1.5, 0.3], [-0.7, 0.2, 1.9], [0.4, -0.3, 1.2]]
)
labels = jnp.array([0, 2, 1, 1, 2])


def examine(loss, **options):
    """The contract's verdict in a few lines."""
    try:
        print(assert_loss_contract(loss, (logits, labels), devices=(), **options))
    except AssertionError as broken:
        print("\n".join(str(broken).splitlines()[:6]))


# %% [markdown]
# ## 1. The first try
#
# It follows the formula from the paper, word by word.


# %%
def first(logits, labels):
    p = jnp.exp(logits) / jnp.exp(logits).sum(-1, keepdims=True)
    chosen = p[jnp.arange(len(p)), labels]
    return 1 - chosen / jnp.sqrt((p**2).sum(-1))


print(first(logits, labels))

# %% [markdown]
# Five plausible numbers between 0 and 1. A training run would start, and the loss would fall. Now
# the contract:

# %%
examine(first)

# %% [markdown]
# In 16 bits the loss stays in 16 bits, so it has two or three digits. The fix is one line: compute
# in at least float32, whatever comes in.


# %%
def second(logits, labels):
    x = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    p = jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True)
    chosen = jnp.take_along_axis(p, labels[..., None], -1)[..., 0]
    return 1 - chosen / jnp.sqrt((p**2).sum(-1))


examine(second)

# %% [markdown]
# Logits of ten thousand are absurd, but one diverging step produces them, and exp of them is
# infinite. ∞/∞ is NaN, and from there on the run is lost. Softmax does not change when the largest
# logit is subtracted first; `jax.nn.softmax` does that.


# %%
def third(logits, labels):
    x = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    p = jax.nn.softmax(x)
    chosen = jnp.take_along_axis(p, labels[..., None], -1)[..., 0]
    return 1 - chosen / jnp.sqrt((p**2).sum(-1))


examine(third)

# %% [markdown]
# Kept, all that can be asked of a loss of two arguments. The lines that were left out name what it
# does not have: `where`, `weights`, `reduction`.
#
# ## 2. The common tail
#
# Every loss here ends in `*, where=None, weights=None, reduction="none"`. `xentjax.reduce` does the
# last two for you. The mask is the part that goes wrong, so we first do it the way it is usually
# done: multiply by it.


# %%
def masked_by_product(logits, labels, *, where=None, weights=None, reduction="none"):
    losses = third(logits, labels)
    if where is not None:
        losses = losses * where
    return reduce(losses, where=where, weights=weights, reduction=reduction)


examine(masked_by_product)

# %% [markdown]
# A masked row with NaN in it poisons the gradient: the derivative of the thrown-away loss is NaN,
# and 0 · NaN is NaN. So the *input* of masked rows is replaced before anything is computed.


# %%
def spherical_loss(logits, labels, *, where=None, weights=None, reduction="none"):
    """1 − p_y / ‖p‖: the spherical scoring rule as a loss."""
    x = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if where is not None:
        x = jnp.where(where[..., None], x, 0.0)
        labels = jnp.where(where, labels, 0)
    p = jax.nn.softmax(x)
    chosen = jnp.take_along_axis(p, labels[..., None], -1)[..., 0]
    losses = 1 - chosen / jnp.sqrt((p**2).sum(-1))
    return reduce(losses, where=where, weights=weights, reduction=reduction)


examine(spherical_loss)

# %% [markdown]
# Every clause that applies is kept. What the list promises is worth reading once in full:
# `help(assert_loss_contract)`.
#
# ## 3. What the contract cannot know
#
# It never asks whether the formula is the one you meant. A loss that is twice as large passes,
# and so does one with the wrong exponent. For that you need an **oracle**: the same number from
# somewhere else, in other words and with more digits.


# %%
def oracle(logits, labels):
    """In float64, by way of angles: the cosine between p and the one-hot label."""
    x = np.asarray(logits, np.float64)
    p = np.exp(x - x.max(-1, keepdims=True))
    return 1 - p[np.arange(len(p)), labels] / np.linalg.norm(p, axis=-1)


found = np.asarray(spherical_loss(logits, labels), np.float64)
print("largest difference to the oracle:", f"{np.abs(found - oracle(logits, labels)).max():.0e}")

# %% [markdown]
# And it never asks whether small numbers are right. Our loss ends in `1 − …`, which cancels where
# the model is right. This is the fault of notebook 2, and it is ours now:

# %%
margin = np.linspace(0, 30, 121)
pair = jnp.stack([jnp.asarray(margin), jnp.zeros(len(margin))], axis=-1).astype(jnp.float32)
zeros = jnp.zeros(len(margin), jnp.int32)
r = np.exp(-margin)
exact = r**2 / (1 + r**2 + np.sqrt(1 + r**2))  # 1 − 1/√(1 + r²), without a difference


def exact_spherical_loss(logits, labels):
    """The same, with 1 − a/b written as (b² − a²) / (b (a + b)): sums of what is not the label."""
    x = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    p = jax.nn.softmax(x)
    here = jax.nn.one_hot(labels, x.shape[-1], dtype=bool)
    a = jnp.sum(jnp.where(here, p, 0), -1)
    rest = jnp.sum(jnp.where(here, 0, p) ** 2, -1)
    b = jnp.sqrt(a**2 + rest)
    return rest / (b * (a + b))


figure, axes = plt.subplots(figsize=(6.4, 3.4))
for loss, name, color in [
    (spherical_loss, "1 − p/‖p‖", ORANGE),
    (exact_spherical_loss, "without the difference", BLUE),
]:
    error = np.abs(np.asarray(loss(pair, zeros), np.float64) / exact - 1)
    axes.semilogy(margin, np.maximum(error, 1e-9), ".", ms=4, color=color, label=name)
axes.set(xlabel="margin of the label", ylabel="relative error", ylim=(5e-10, 10))
axes.set_title("The last digit is always one's own")
axes.legend(loc="center right")
plt.show()

# %% [markdown]
# (The squares r² fall below the smallest float32 past a margin of 43; that is where the blue points
# would end.)
#
# ## 4. Is it worth having?
#
# A bounded loss shrugs at wrong labels. Two classes, two Gaussian clouds, a linear model; two
# fifths of the labels of one class are flipped to the other. Eight draws of the data, for one draw
# tells little.

# %%
rng = np.random.default_rng(0)
DRAWS = 8


def clouds(n):
    """Rows [DRAWS, n, 2] around (−1.2, −1.2) and (1.2, 1.2), and their classes."""
    y = rng.integers(0, 2, (DRAWS, n))
    x = rng.normal(size=(DRAWS, n, 2)) + np.where(y[..., None] == 1, 1.2, -1.2)
    return x.astype(np.float32), y


x, y = clouds(400)
flipped = (y == 1) & (rng.random(y.shape) < 0.4)
noisy = np.where(flipped, 0, y)
test_x, test_y = clouds(4000)


def train(loss, x, labels, steps=2000, rate=0.5):
    """Full-batch gradient descent on a linear classifier."""

    def step(w, _):
        total = lambda w: jnp.mean(loss(x @ w[:2] + w[2:], labels))  # noqa: E731
        return w - rate * jax.grad(total)(w), None

    return jax.lax.scan(step, jnp.zeros((3, 2)), length=steps)[0]


def accuracy(loss):
    """On clean rows, for each draw."""
    w = jax.jit(jax.vmap(lambda x, labels: train(loss, x, labels)))(x, noisy)
    scores = test_x @ np.asarray(w[:, :2]) + np.asarray(w[:, 2:])
    return (scores.argmax(-1) == test_y).mean(-1)


right = {"cross-entropy": accuracy(softmax_cross_entropy), "spherical": accuracy(spherical_loss)}
for name, shares in right.items():
    print(f"{name:14} right on clean rows: {shares.mean():.1%}")
gains = 100 * (right["spherical"] - right["cross-entropy"])
print(f"gain of the spherical loss, draw by draw: {gains.min():.1f} to {gains.max():.1f} points")

# %% [markdown]
# Cross-entropy moves its boundary towards the class that lost labels: it must *explain* them with
# probabilities. The spherical loss gives the flipped rows up sooner. `docs/choosing.md` compares
# the members of the family that are made for this, over twenty seeds.
#
# ## Exercises
#
# **1. A mutant.** Change the sign of one term's gradient with `jax.custom_jvp` and see which clause
# finds it.
#
# <details><summary>Answer</summary>
#
# `gradient`: it compares with central differences in float64. If the rule is wrong only in the
# second order, `gradient` still finds it, for it takes differences of the gradient too.
#
# </details>
#
# **2. Kinks.** Give the contract a hinge loss. Which clauses may complain though the loss is right,
# and what does `leave_out` want from you?
#
# <details><summary>Answer</summary>
#
# At zero logits all margins tie, and a kink has no Hessian: `hessian_finite` or `gradient` may fail
# there. `leave_out={"hessian_finite": "the hinge has a kink at ties"}` states the reason, and the
# report prints it.
#
# </details>
#
# **3. Masking last.** In `spherical_loss`, what goes wrong if only the logits of masked rows are
# replaced and not their labels?
#
# <details><summary>Answer</summary>
#
# A padding label such as −100 then indexes out of range, and `take_along_axis` gives NaN for it.
# Here nothing shows: `reduce` leaves the masked loss out, and the `where` on the logits stops the
# NaN on its way back. It is a fault waiting for the day somebody moves one of the two.
#
# </details>
