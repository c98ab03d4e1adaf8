"""The fused losses keep the contract of every loss, as functions of hidden states."""

import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.fused import linear_cross_entropy, linear_kl_divergence, linear_log_probs
from xentjax.losses.reduction import reduce
from xentjax.testing import assert_loss_contract

RNG = np.random.default_rng(0)
HIDDEN = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)
WEIGHT = jnp.asarray(RNG.normal(size=(3, 5)), jnp.float32)
LABELS = jnp.array([0, 4, 1, 3])
TEACHER = jnp.asarray(RNG.normal(size=(4, 2)), jnp.float32)
TEACHER_WEIGHT = jnp.asarray(RNG.normal(size=(2, 5)), jnp.float32)


def cross_entropy(hidden, labels, reduction="none", **options):
    return linear_cross_entropy(
        hidden, WEIGHT, labels, reduction=reduction, tile=3, label_smoothing=0.1, **options
    )


def divergence(hidden, teacher, reduction="none", **options):
    return linear_kl_divergence(
        hidden, WEIGHT, teacher, TEACHER_WEIGHT, reduction=reduction, tile=3, **options
    )


# Hidden states are no logits: a class is masked by a bias of −inf, tested on its own.
NO_CLASS = {"masked_class": "hidden states have no class axis to mask"}


@pytest.mark.parametrize(
    ("loss", "inputs"),
    [
        pytest.param(cross_entropy, (HIDDEN, LABELS), marks=pytest.mark.slow),
        pytest.param(divergence, (HIDDEN, TEACHER), marks=pytest.mark.slow),
    ],
)
def test_fused_losses_keep_the_contract(loss, inputs, report_figure):
    report = assert_loss_contract(loss, inputs, leave_out=NO_CLASS)
    report_figure(f"contract, fused {loss.__name__}: {len(report.passed)} clauses kept")


@pytest.mark.slow
def test_log_probs_keep_it_as_the_cross_entropy_they_are(report_figure):
    def loss(hidden, labels, where=None, weights=None, reduction="none"):
        found = linear_log_probs(hidden, WEIGHT, labels, where=where, tile=3)
        return reduce(-found.log_prob, where=where, weights=weights, reduction=reduction)

    report = assert_loss_contract(
        loss,
        (HIDDEN, LABELS),
        leave_out=NO_CLASS,
    )
    report_figure(f"contract, fused log-probabilities: {len(report.passed)} clauses kept")
