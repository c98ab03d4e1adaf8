"""The definitions, in plain array arithmetic: numpy for values, jax.numpy for derivatives.

Written from the formulas and not from the package. Examples that are left out are cut out here
(masked = sliced), so nothing they hold can reach a result.
"""

import jax
import jax.numpy as jnp
import numpy as np


def logits_of(operands, vocab_axis=-1, xp=np):
    """cap · tanh(s · (hidden · weight + bias) / cap), [N, V]."""
    hidden, weight = operands["hidden"], operands["weight"]
    x = hidden.reshape(-1, hidden.shape[-1]) @ (weight if vocab_axis in (-1, 1) else weight.T)
    if "bias" in operands:
        x = x + operands["bias"][None, :]
    x = operands.get("logit_scale", 1.0) * x
    if "soft_cap" in operands:
        x = operands["soft_cap"] * xp.tanh(x / operands["soft_cap"])
    return x


def counted(labels, where=None, ignore_index=None):
    """The examples that are not left out, as flat positions."""
    labels = np.asarray(labels)
    keep = np.broadcast_to(True if where is None else np.asarray(where), labels.shape)
    if ignore_index is not None:
        keep = keep & (labels.astype(np.int64) != ignore_index)
    return np.flatnonzero(keep)


def row_losses(x, labels, operands, xp=np):
    """Losses [N] of logits [N, V], and each label's class weight.

    log1p(Σ_{j≠y} exp(x_j − x_y)) keeps its digits at every margin of float64.
    """
    classes = x.shape[1]
    is_label = labels[:, None] == np.arange(classes)[None, :]
    label_logit = xp.sum(xp.where(is_label, x, 0), axis=1)
    over = xp.where(is_label, -np.inf, x - label_logit[:, None])
    nll = xp.log1p(xp.sum(xp.exp(over), axis=1))
    weights = operands.get("class_weights", np.ones(classes))
    mass = xp.sum(xp.where(is_label, weights[None, :], 0), axis=1)
    alpha = operands.get("label_smoothing", 0.0)
    losses = (1 - alpha) * mass * nll
    allowed = x > -np.inf  # a class at −inf is masked: smoothing gives it nothing
    surprise = xp.where(allowed, (nll + label_logit)[:, None] - xp.where(allowed, x, 0), 0)
    uniform = xp.sum(weights[None, :] * surprise, axis=1) / xp.sum(allowed, axis=1)
    lse = nll + label_logit
    return losses + alpha * uniform + operands.get("z_loss", 0.0) * lse**2, mass


def cross_entropy(
    operands, labels, *, where=None, ignore_index=None, reduction="mean", vocab_axis=-1, xp=np
):
    """The definition of `linear_cross_entropy`."""
    labels = np.asarray(labels)
    rows = counted(labels, where, ignore_index)
    hidden = operands["hidden"].reshape(-1, operands["hidden"].shape[-1])[rows]
    x = logits_of({**operands, "hidden": hidden}, vocab_axis, xp)
    losses, mass = row_losses(x, labels.reshape(-1)[rows], operands, xp)
    weights = np.ones(len(rows))
    if "weights" in operands:
        weights = xp.broadcast_to(operands["weights"], labels.shape).reshape(-1)[rows]
    if reduction == "sum":
        return xp.sum(weights * losses)
    if reduction == "mean":
        total = xp.sum(weights * mass)
        return xp.sum(weights * losses) / total if len(rows) else xp.sum(losses)
    place = np.arange(labels.size)[:, None] == rows[None, :]
    return (place.astype(np.float64) @ (weights * losses)).reshape(labels.shape)


def log_probs(operands, labels, *, vocab_axis=-1, xp=np):
    """log_prob, logsumexp and entropy [N], of finite logits."""
    x = logits_of(operands, vocab_axis, xp)
    labels = np.asarray(labels).reshape(-1)
    top = xp.max(x, axis=1, keepdims=True)  # any constant would do
    lse = xp.log(xp.sum(xp.exp(x - top), axis=1)) + top[:, 0]
    log_p = x - lse[:, None]
    is_label = labels[:, None] == np.arange(x.shape[1])[None, :]
    return xp.sum(xp.where(is_label, log_p, 0), axis=1), lse, -xp.sum(xp.exp(log_p) * log_p, axis=1)


def kl_divergence(student, teacher, xp=np):
    """KL(softmax(teacher) ‖ softmax(student)) [N], of finite logits."""
    student, teacher = (x - xp.max(x, axis=1, keepdims=True) for x in (student, teacher))
    log_q, log_p = (
        x - xp.log(xp.sum(xp.exp(x), axis=1, keepdims=True)) for x in (student, teacher)
    )
    return xp.sum(xp.exp(log_p) * (log_p - log_q), axis=1)


def float64(tree):
    """The same numbers, exactly."""
    return jax.tree.map(lambda x: np.asarray(x).astype(np.float64), tree)


def value_and_gradients(definition):
    """operands → value and JAX's own gradients of their function, all in float64."""
    # What is compiled once and run thrice need not be fast.
    compiled = jax.jit(
        jax.value_and_grad(definition), compiler_options={"xla_backend_optimization_level": 0}
    )

    def found(operands):
        with jax.enable_x64(True):
            return float64(compiled(float64(operands)))

    return found


def jax_cross_entropy(labels, cotangents=None, **fixed):
    """A scalar function of the operands: the reduced loss, or ⟨cotangents, losses⟩."""

    def total(operands):
        found = cross_entropy(operands, labels, **fixed, xp=jnp)
        return found if cotangents is None else jnp.sum(found * np.float64(cotangents))

    return total
