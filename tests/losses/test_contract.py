"""Every public loss keeps the contract; a new loss adds a row here and is covered from then on."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

import xentjax
from xentjax.testing import assert_loss_contract

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)
OTHER = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)
LABELS = jnp.array([0, 2, 1, 0])
SOFT = jnp.asarray(RNG.dirichlet(np.ones(3), 4), jnp.float32)
BINARY = jnp.asarray(RNG.integers(0, 2, (4, 3)), jnp.float32)
CE = xentjax.softmax_cross_entropy

_WEIGHTED = "its mean is over class weights too; tests/losses/test_softmax.py has it"

# name: (loss, inputs, options of the contract)
LOSSES = {
    "softmax, integer labels": (CE, (LOGITS, LABELS), {}),
    "softmax, distributions": (CE, (LOGITS, SOFT), {}),
    "softmax, every option": (
        partial(CE, label_smoothing=0.1, z_loss=0.01, class_weights=jnp.array([1.0, 2.0, 0.5])),
        (LOGITS, LABELS),
        # With class weights a mean divides by the weights of the labels, as torch does.
        {"leave_out": dict.fromkeys(("masked_mean", "weighted_mean"), _WEIGHTED)},
    ),
    "sigmoid": (
        partial(xentjax.sigmoid_cross_entropy, pos_weight=2.0),
        (LOGITS, BINARY),
        {"event_dims": 0},
    ),
    "KL": (xentjax.kl_divergence, (LOGITS, SOFT), {}),
    "KL with logits": (
        partial(xentjax.kl_divergence_with_logits, temperature=2.0),
        (LOGITS, OTHER),
        {},
    ),
    "JS": (xentjax.js_divergence, (LOGITS, OTHER), {}),
    "entropy": (xentjax.entropy, (LOGITS,), {}),
    "distillation": (
        partial(xentjax.distillation_loss, temperature=2.0, alpha=0.5),
        (LOGITS, OTHER, LABELS),
        {},
    ),
    "squared error": (xentjax.squared_error, (LOGITS, OTHER), {"event_dims": 0}),
    "Huber": (xentjax.huber_loss, (LOGITS, OTHER), {"event_dims": 0}),
}


def test_every_public_loss_has_a_row():
    functions = {getattr(loss, "func", loss).__name__ for loss, _, _ in LOSSES.values()}
    others = {"bits", "bits_per_byte", "perplexity", "reduce", "total_and_weight"}
    assert functions == set(xentjax.losses.__all__) - others


# Ten seconds to a minute of compilation each; the rules they are made of are in the other rows.
SLOW = ("JS", "KL", "KL with logits", "distillation", "softmax, distributions")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in LOSSES]
)
def test_the_loss_keeps_the_contract(name, report_figure):
    loss, inputs, options = LOSSES[name]
    report = assert_loss_contract(loss, inputs, **options)
    left_out = "; ".join(f"{clause}: {why}" for clause, why in report.left_out.items())
    report_figure(
        f"contract, {name}: {len(report.passed)} clauses kept"
        + (f", left out: {left_out}" if left_out else "")
    )
