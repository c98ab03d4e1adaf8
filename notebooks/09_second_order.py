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
# # Second order: the shape of the valley
#
# At the end of this notebook you can
#
# - multiply the Hessian of a training loss with a vector without ever forming it;
# - say what the Gauss-Newton matrix leaves out, and why that makes it safe to solve with;
# - find the largest curvatures of a network by Lanczos and read a learning rate from them;
# - choose between gradient descent, L-BFGS and Newton, by counting products.
#
# All of it goes *through* `linear_cross_entropy`, the fused loss: forward over reverse, reverse
# over reverse, as deep as you like. Half a minute on two cores.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from xentjax import linear_cross_entropy, softmax_cross_entropy
from xentjax.data import load_digits, stratified_split

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"

table = load_digits()
rows = stratified_split(table.labels, fractions=(0.7, 0.15, 0.15), seed=0).train
x, y = jnp.asarray(table.features[rows]), jnp.asarray(table.labels[rows])
print(x.shape, "rows and pixels")

# %% [markdown]
# ## 1. A Hessian times a vector
#
# Softmax regression on digits: 64 pixels times 10 classes are 640 weights, with a Hessian of 640
# × 640 numbers. That still fits. For a network with a million weights it would be four terabytes,
# so one never forms it. What one can have cheaply is its product with a vector:
#
# $$H v = \left.\frac{d}{d\varepsilon} \nabla l(w + \varepsilon v)\right|_{\varepsilon = 0}$$
#
# the derivative of the gradient along v: one `jvp` of one `grad`.


# %%
def loss(w):
    return linear_cross_entropy(x, w, y) + 0.5e-3 * jnp.sum(w**2)


@jax.jit
def hessian_times(w, v):
    return jax.jvp(jax.grad(loss), (w,), (v,))[1]


w = 0.05 * jax.random.normal(jax.random.key(0), (64, 10))
v = jax.random.normal(jax.random.key(1), (64, 10))
full = jax.hessian(loss)(w).reshape(640, 640)
by_product = hessian_times(w, v).ravel()
by_matrix = full @ v.ravel()
apart = jnp.abs(by_product - by_matrix).max()
print(f"largest difference {apart:.0e}, of {jnp.abs(by_matrix).max():.2f}")

# %% [markdown]
# The other orders give the same numbers. Not every fused loss can say that: one with a hand-written
# backward pass alone has no second derivative, or a wrong one.


# %%
def reverse_over_reverse(w, v):
    return jax.grad(lambda w: jnp.vdot(jax.grad(loss)(w), v))(w)


def reverse_over_forward(w, v):
    return jax.grad(lambda w: jax.jvp(loss, (w,), (v,))[1])(w)


for product in (reverse_over_reverse, reverse_over_forward):
    apart = jnp.abs(product(w, v) - hessian_times(w, v)).max()
    print(f"{product.__name__}: apart by less than 1e-5: {bool(apart < 1e-5)}")

# %% [markdown]
# ## 2. Gauss-Newton: the curvature of the loss alone
#
# A network's loss is l(f(w)): logits f, loss l. Its Hessian has two parts,
#
# $$H = J^T (\mathrm{diag}(p) - p p^T) J + \sum_c (p_c - y_c) \nabla^2 f_c$$
#
# The first is the **Gauss-Newton** matrix G: the convex curvature of the cross-entropy seen
# through the Jacobian J of the network. It has no negative eigenvalue. The second is the
# curvature of the network itself, weighted by how wrong it is; it may point either way, and it
# fades as p approaches y.


# %%
def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


def make_params(key, width=24):
    one, two = jax.random.split(key)
    return {
        "in": jax.random.normal(one, (64, width)) / 4,
        "out": jax.random.normal(two, (width, 10)) / np.sqrt(width),
    }


def network_loss(params):
    hidden = jnp.tanh(x @ params["in"])
    return linear_cross_entropy(hidden, params["out"], y)


def gauss_newton_times(params, v):
    logits, pushed = jax.jvp(lambda p: network(p, x), (params,), (v,))
    of_logits = jax.grad(lambda z: softmax_cross_entropy(z, y, reduction="mean"))
    curved = jax.jvp(of_logits, (logits,), (pushed,))[1]
    return jax.vjp(lambda p: network(p, x), params)[1](curved)[0]


def times(product, params):
    """A product with trees as a product with flat vectors."""
    flat, unravel = ravel_pytree(params)
    return jax.jit(lambda v: ravel_pytree(product(params, unravel(v)))[0]), flat.size


def network_hessian_times(params, v):
    return jax.jvp(jax.grad(network_loss), (params,), (v,))[1]


params = make_params(jax.random.key(2))
curvature = {}
for name, product in [("Hessian", network_hessian_times), ("Gauss-Newton", gauss_newton_times)]:
    multiply, size = times(product, params)
    matrix = np.asarray(jax.lax.map(multiply, jnp.eye(size), batch_size=64))
    curvature[name] = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    print(
        f"{name:13} {size} eigenvalues from {curvature[name][0]:.3f} to {curvature[name][-1]:.3f}"
    )

# %% [markdown]
# ## 3. The spectrum, before and after training
#
# Eigenvalues of large networks come from **Lanczos**: k products with the matrix, a small
# tridiagonal matrix, and its eigenvalues approach the extreme ones first. Here with full
# reorthogonalisation, as float32 wants it.


# %%
@partial(jax.jit, static_argnums=(0, 2))
def lanczos(multiply, start, k):
    """The diagonal and the off-diagonal of the tridiagonal matrix after k products."""

    def step(carry, i):
        basis, v = carry
        basis = basis.at[i].set(v)
        image = multiply(v)
        alpha = jnp.vdot(image, v)
        rest = image - basis.T @ (basis @ image)
        rest = rest - basis.T @ (basis @ rest)
        beta = jnp.linalg.norm(rest)
        return (basis, rest / jnp.maximum(beta, 1e-30)), (alpha, beta)

    basis = jnp.zeros((k, start.size))
    _, (alpha, beta) = jax.lax.scan(step, (basis, start / jnp.linalg.norm(start)), jnp.arange(k))
    return alpha, beta


def largest_curvatures(params, k=40):
    multiply, size = times(network_hessian_times, params)
    alpha, beta = lanczos(multiply, jax.random.normal(jax.random.key(3), (size,)), k)
    small = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    return np.linalg.eigvalsh(small)


ritz = largest_curvatures(params)
print("largest by Lanczos:", ritz[-3:].round(4))
print("largest exactly:   ", curvature["Hessian"][-3:].round(4))

# %% [markdown]
# Gradient descent on a parabola of curvature λ diverges once the learning rate exceeds 2/λ. The
# largest eigenvalue therefore *predicts* the largest usable rate. We try rates around it:

# %%
limit = 2 / ritz[-1]


@partial(jax.jit, static_argnums=1)
def descend(rate, steps):
    def step(p, _):
        value, slope = jax.value_and_grad(network_loss)(p)
        return jax.tree.map(lambda a, b: a - rate * b, p, slope), value

    return jax.lax.scan(step, params, length=steps)


figure, axes = plt.subplots(figsize=(6.4, 3.4))
for factor, color in [(0.25, BLUE), (1.0, GREEN), (4.0, ORANGE)]:
    _, losses = descend(factor * limit, 60)
    axes.plot(losses, color=color, label=f"{factor:g} × 2/λ")
axes.set(xlabel="step", ylabel="training loss (nats)", ylim=(0, 4), xlim=(0, 60))
axes.set_title("A learning rate read from the curvature")
axes.legend(title="learning rate", loc="upper right")
plt.show()

# %% [markdown]
# Training moves to where the curvature fits the rate: steep walls throw the iterate out, flat
# valleys keep it. That is why a rate somewhat above the limit at the start may still work, and
# why a warm-up helps. And with a cross-entropy on its way to zero the curvature goes down as
# well: p − y and p (1 − p) vanish together.

# %%
trained, losses = descend(limit, 1500)
after = largest_curvatures(trained)
figure, axes = plt.subplots(figsize=(6.4, 3.2))
axes.semilogy(np.maximum(ritz[::-1][:20], 1e-4), "o-", color=GREY, label="at the start")
axes.semilogy(np.maximum(after[::-1][:20], 1e-4), "o-", color=BLUE, label="after 1500 steps")
axes.axhline(2 / limit, color=ORANGE, lw=1)
axes.text(19, 2.1 / limit, "2 / learning rate", color=ORANGE, ha="right", va="bottom")
axes.set(xlabel="number of the eigenvalue", ylabel="curvature", xticks=[0, 5, 10, 15])
axes.set_title(f"A few stiff directions (loss {losses[-1]:.3f} nats)")
axes.legend()
plt.show()

# %% [markdown]
# A handful of stiff directions and a crowd of flat ones. Gradient descent takes steps fit for the
# stiffest and crawls along the rest. Second-order methods divide by the curvature instead.
#
# ## 4. Three optimizers, one currency
#
# Back to the convex problem, softmax regression with a little weight decay, which has one
# minimum. The price of a method is the number of passes over the data: a gradient is one, a
# Hessian product about two.


# %%
def gradient_descent(steps):
    rate = 2 / (jnp.linalg.eigvalsh(full)[-1] * 1.05)

    def step(w, _):
        value, slope = jax.value_and_grad(loss)(w)
        return w - rate * slope, value

    return jax.lax.scan(step, jnp.zeros((64, 10)), length=steps)


def lbfgs(steps):
    rule = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry, _):
        w, state = carry
        value, slope = value_and_grad(w, state=state)
        updates, state = rule.update(slope, state, w, value=value, grad=slope, value_fn=loss)
        return (optax.apply_updates(w, updates), state), value

    start = jnp.zeros((64, 10))
    (w, _), values = jax.lax.scan(step, (start, rule.init(start)), length=steps)
    return w, values


def newton(steps, products=20):
    def step(w, _):
        value, slope = jax.value_and_grad(loss)(w)
        solve = partial(jax.scipy.sparse.linalg.cg, maxiter=products, tol=1e-4)
        direction, _ = solve(lambda v: hessian_times(w, v), slope)
        return w - direction, value

    return jax.lax.scan(step, jnp.zeros((64, 10)), length=steps)


runs = {
    "gradient descent": (jax.jit(gradient_descent, static_argnums=0)(400), 1, ORANGE),
    "L-BFGS": (jax.jit(lbfgs, static_argnums=0)(120), 2, BLUE),
    "Newton, 20 CG products": (jax.jit(newton, static_argnums=0)(9), 41, GREEN),
}
lowest = min(float(values.min()) for (_, values), _, _ in runs.values())
figure, axes = plt.subplots(figsize=(6.4, 3.6))
for name, ((_, values), price, color) in runs.items():
    excess = np.maximum(np.asarray(values) - lowest, 1e-8)
    axes.semilogy(price * np.arange(len(values)), excess, color=color, label=name)
axes.set(xlabel="passes over the data", ylabel="loss above the best found (nats)")
axes.set(xlim=(0, 400), ylim=(1e-7, 3), title="Dividing by the curvature")
axes.legend(loc="upper right")
plt.show()
for name, ((_, values), _, _) in runs.items():
    print(f"{name:23} {values[-1]:.5f} nats")

# %% [markdown]
# (L-BFGS is charged two passes a step, as its line search often needs a second value.) Gradient
# descent crawls, the other two arrive. L-BFGS needs nothing but gradients; Newton needs products
# and, for a network that is not convex, the Gauss-Newton matrix in place of H, plus some damping.
#
# In the audit (notebook 11) L-BFGS fits the temperature of a model, a convex problem of one number.
#
# ## Exercises
#
# **1. Trace without a matrix.** For random signs z, the mean of zᵀHz is the trace of H
# (Hutchinson). Estimate it with 50 products and compare with `jnp.trace(full)`.
#
# <details><summary>Answer</summary>
#
# The trace is 14.15, and 50 products give it to about ±0.7 (their spread divided by √50). The error
# falls as 1/√k, so it is a figure for one digit or two, at the price of 50 gradients in place of
# 640.
#
# </details>
#
# **2. Damping.** Run `newton` on `network_loss` with the Hessian, then with Gauss-Newton products
# Gv, then with Gv + 0.01 v. What goes wrong with the first two?
#
# <details><summary>Answer</summary>
#
# Conjugate gradients assume a positive definite matrix. Along a direction of negative curvature
# the "minimum" of the parabola is a maximum, and the step goes uphill. Gauss-Newton has no such
# direction, but flat ones: dividing by next to nothing makes a step so long that the parabola is no
# longer true, and the loss explodes as well. With 0.01 v added nine steps come to about 0.03 nats.
#
# </details>
#
# **3. Why 2/λ?** One step of gradient descent on λw²/2 is w ← (1 − ηλ)w. For which η does |w|
# shrink?
#
# <details><summary>Answer</summary>
#
# |1 − ηλ| < 1, so 0 < η < 2/λ. At η = 2/λ it jumps to −w and back, for ever.
#
# </details>
