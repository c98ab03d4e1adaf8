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
# # Large vocabularies: the logits you never need
#
# At the end of this notebook you can
#
# - work out how much memory the logits of a language model take, before the machine tells you;
# - train a head with `linear_cross_entropy` and know what it computes, and in which order;
# - measure memory and time of both ways yourself, as a ratio in one run;
# - check that the two give the same gradient, also in bfloat16;
# - split examples and vocabulary over eight devices, on a laptop that has one.
#
# About a minute on two cores.

# %%
import jax

# Eight devices made of one CPU, for the last section; before the first array is made.
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from xentjax import linear_cross_entropy, softmax_cross_entropy
from xentjax.fused import linear_log_probs, plan, sharded_linear_cross_entropy
from xentjax.timing import compare

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

# %% [markdown]
# ## 1. The largest array of the model is one nobody looks at
#
# A language model ends in hidden states [N, D] and a head [D, V]. Their product is the logits, one
# row a token, one column a word. The loss reads each of them once and returns a single number.


# %%
def gigabytes(n, v, bytes_each=4):
    return n * v * bytes_each / 1e9


print("tokens  vocabulary   logits   and their gradient")
for n, v in [(4096, 32_768), (8192, 50_257), (8192, 128_256), (16_384, 262_144)]:
    print(f"{n:6} {v:11,} {gigabytes(n, v):7.2f} GB {gigabytes(n, v):7.2f} GB")

# %% [markdown]
# So the logits are not kept. They are made a **tile** at a time: some rows of hidden states meet
# the whole head, their losses and their share of both gradients are taken, and the tile is gone.
# For a mean of losses the weight of each is known before, so the gradient can be found on the way
# forward: three matrix products, which is what the dense way takes too.

# %%
rng = np.random.default_rng(0)
N, D, V = 1024, 128, 16_384
hidden = jnp.asarray(rng.normal(size=(N, D)), jnp.float32)
weight = jnp.asarray(rng.normal(size=(D, V)) / np.sqrt(D), jnp.float32)
labels = jnp.asarray(rng.integers(0, V, N))


def dense(hidden, weight, labels):
    return softmax_cross_entropy(hidden @ weight, labels, reduction="mean")


def with_optax(hidden, weight, labels):
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(hidden @ weight, labels)
    return losses.mean()


def tiled(hidden, weight, labels):
    return linear_cross_entropy(hidden, weight, labels)


print(f"dense {dense(hidden, weight, labels):.6f}")
print(f"tiled {tiled(hidden, weight, labels):.6f}")
print(f"log V {np.log(V):.6f}, and half a nat for logits of variance one")

# %% [markdown]
# ## 2. The same gradient
#
# Compared with a float64 computation in NumPy, on the scale of the largest entry.


# %%
def float64_gradients():
    h, w = np.asarray(hidden, np.float64), np.asarray(weight, np.float64)
    logits = h @ w
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(N), np.asarray(labels)] -= 1
    return p @ w.T / N, h.T @ p / N


exact = float64_gradients()
for name, loss in [("dense", dense), ("tiled", tiled)]:
    found = jax.jit(jax.grad(loss, argnums=(0, 1)))(hidden, weight, labels)
    errors = [
        np.abs(np.asarray(f, np.float64) - e).max() / np.abs(e).max()
        for f, e in zip(found, exact, strict=True)
    ]
    print(f"{name}: error of d hidden {errors[0]:.0e}, of d weight {errors[1]:.0e}")

# %% [markdown]
# ## 3. Memory: a contract, not a hope
#
# The compiler tells how much temporary memory a program needs, before it runs. We ask it while the
# number of tokens grows.


# %%
def temporary_megabytes(loss, n):
    shapes = (
        jax.ShapeDtypeStruct((n, D), jnp.float32),
        jax.ShapeDtypeStruct((D, V), jnp.float32),
        jax.ShapeDtypeStruct((n,), jnp.int32),
    )
    program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*shapes).compile()
    return program.memory_analysis().temp_size_in_bytes / 1e6


tokens = [256, 512, 1024, 2048, 4096]
figure, axes = plt.subplots(figsize=(6.4, 3.6))
for loss, name, color in [(with_optax, "optax", ORANGE), (tiled, "linear_cross_entropy", BLUE)]:
    megabytes = [temporary_megabytes(loss, n) for n in tokens]
    axes.loglog(tokens, megabytes, "o-", color=color, label=name)
    print(f"{name:21}", [f"{m:.0f} MB" for m in megabytes])
axes.set(xlabel="tokens in the batch", ylabel="temporary memory (MB)")
axes.set_xticks(tokens, labels=[str(n) for n in tokens])
axes.set_yticks([50, 100, 200, 500], labels=["50", "100", "200", "500"])
axes.minorticks_off()
axes.set_title(f"Value and gradient, vocabulary {V:,}")
axes.legend()
plt.show()

# %% [markdown]
# The orange line grows with the batch for ever. The blue one rises to the size of a tile or two
# and then stays. How large a tile is, `plan` decides from the shapes, and it keeps a budget if
# you name one:

# %%
usual = plan(4096, D, V, jnp.float32)
small = plan(4096, D, V, jnp.float32, memory_budget=20_000_000)
print(f"usual plan:      {usual}")
print(f"20 MB at most:   {small}")

# %% [markdown]
# ## 4. Time, as a ratio
#
# Timing on a machine that does other things too is only worth something as a ratio within one
# run, in which the contestants take turns. `compare` does that.

# %%
both = jax.value_and_grad
contestants = {
    "optax": (both(with_optax, argnums=(0, 1)), (hidden, weight, labels)),
    "tiled": (both(tiled, argnums=(0, 1)), (hidden, weight, labels)),
}
ratio = compare(contestants, runs=7, warmup=2).ratio("tiled")
print(f"tiled is no slower than 1.3 times optax here: {ratio.median < 1.3}")

# %% [markdown]
# The same three products of the same sizes, and less memory traffic around them. Larger shapes are
# in the README's table, with their spreads.
#
# ## 5. In bfloat16
#
# Hidden states and head in 16 bits, as they are in training. Two questions that one should keep
# apart: how good is the loss *of these rounded inputs*, and how much did rounding the inputs cost?

# %%
low = (hidden.astype(jnp.bfloat16), weight.astype(jnp.bfloat16))
of_rounded = dense(*(x.astype(jnp.float32) for x in low), labels)
half_logits = softmax_cross_entropy(low[0] @ low[1], labels, reduction="mean")
print(f"float32 inputs               {dense(hidden, weight, labels):.6f}")
print(f"rounded inputs, float32 rest {of_rounded:.6f}")
print(f"tiled in bfloat16            {tiled(*low, labels):.6f}")
print(f"logits rounded to bfloat16   {half_logits:.6f}")
print(f"and in bfloat16 all the way  {with_optax(*low, labels):.6f}")

# %% [markdown]
# The tiles accumulate in float32, so the third line repeats the second. The fourth is close as
# well: each logit is rounded, and over a batch the roundings average out. The last one has two
# digits.
#
# ## 6. More than a mean
#
# Per-token log-probabilities, for sequence scores and for preference losses, with entropy and hits
# from the same tiles:

# %%
found = linear_log_probs(hidden, weight, labels)
print("log p of the first three tokens:", np.asarray(found.log_prob[:3]).round(4))
print("entropy of the first three:     ", np.asarray(found.entropy[:3]).round(4))
print("hits:", int(found.correct.sum()), "of", N, f"(chance: {N / V:.2f})")

# %% [markdown]
# ## 7. Eight devices
#
# Two ways to share the work: split the **examples** (each device has the whole head) or the
# **vocabulary** (each has a slice of the head and sees all examples). Both at once is a mesh of 2
# × 4. The number must not depend on it, but for the last digit.

# %%
mesh = jax.make_mesh((2, 4), ("data", "vocab"), axis_types=(AxisType.Auto,) * 2)
placed = [
    jax.device_put(x, NamedSharding(mesh, spec))
    for x, spec in [(hidden, P("data")), (weight, P(None, "vocab")), (labels, P("data"))]
]


def shared(hidden, weight, labels):
    return sharded_linear_cross_entropy(
        hidden, weight, labels, mesh=mesh, data_axes="data", vocab_axis_name="vocab"
    )


value, slopes = jax.jit(both(shared, argnums=(0, 1)))(*placed)
alone, slopes_alone = jax.jit(both(tiled, argnums=(0, 1)))(hidden, weight, labels)
print(f"one device {alone:.6f}, eight devices {value:.6f}")
for name, ours, theirs in zip(["d hidden", "d weight"], slopes, slopes_alone, strict=True):
    apart = float(jnp.abs(np.asarray(ours) - np.asarray(theirs)).max() / jnp.abs(theirs).max())
    print(f"{name}: apart by {apart:.0e}, on {len(ours.sharding.device_set)} devices")

# %%
devices = {}
for shard in slopes[1].addressable_shards:
    columns = shard.index[1]
    devices.setdefault((columns.start, columns.stop), []).append(shard.device.id)
for (start, stop), ids in sorted(devices.items()):
    print(f"d weight, words {start:6,} to {stop:6,}: devices {sorted(ids)}")

# %% [markdown]
# The gradient of the head lies where the head lies; no logits and no head have travelled. On the
# way forward one maximum, one sum and the label's logit per example cross the vocabulary's axis.
# The gradients are then sums of parts: d hidden over that axis, d weight over the data's.

# %%
text = jax.jit(both(shared, argnums=(0, 1))).lower(*placed).compile().as_text()
print("all-gathers in the program:", text.count("all-gather("))

# %% [markdown]
# ## Exercises
#
# **1. On paper.** A model has D = 4096, V = 128,256, and a batch has 16,384 tokens. How large are
# the logits in float32? How large is the head itself in bfloat16?
#
# <details><summary>Answer</summary>
#
# 16,384 · 128,256 · 4 bytes = 8.4 GB of logits, and as much for their gradient. The head has
# 4096 · 128,256 · 2 bytes = 1.05 GB.
#
# </details>
#
# **2. Four products.** With `reduction="none"` the backward pass computes each tile again. Why
# can it not find the gradient on the way forward, as the mean does?
#
# <details><summary>Answer</summary>
#
# The gradient is a sum of p − y weighted by the cotangents of the single losses, and these are
# known only after the forward pass. The mean's weights are 1/N from the start.
#
# </details>
#
# **3. A frozen head.** Take the gradient with respect to `hidden` alone and count the matrix
# products (`dot(` in the compiled text). How many are left?
#
# <details><summary>Answer</summary>
#
# Two: the logits of a tile, and their gradient times the head. The product for d weight is not in
# the program at all.
#
# </details>
