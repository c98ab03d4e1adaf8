"""Every public loss keeps the contract; a case in `bench/cases` covers it from then on."""

import numpy as np
import pytest

import xentjax
from bench.cases import CASES
from xentjax.testing import assert_loss_contract
from xentjax.testing.contract import CLAUSES

# What every run of the suite shows of a case; all sixteen clauses take ten seconds to a minute of
# compilation each, and run with the slow tests. One case shows all clauses at once.
QUICK = ("gradient", "masked_mean")
# Those two of one case a way of being built; they take seconds of compilation too.
TELLING = (
    *("softmax, every option", "sigmoid", "focal", "sparsemax", "entropy", "Huber", "CORN"),
    *("logit-adjusted", "Dice, integer labels", "CLIP", "SigLIP", "DPO", "GRPO", "CTC"),
)
WHOLE = "softmax, integer labels"
# Functions of the losses room that are no losses.
OTHERS = {
    *("bits", "bits_per_byte", "perplexity", "reduce", "total_and_weight"),
    *("cutmix", "mixup", "smooth_labels", "soft_cap", "soft_ordinal_targets"),
    *("class_balanced_weights", "entmax", "log_uniform_sample", "sparsemax"),
    *("group_advantages", "next_token_labels", "segment_mask", "segment_positions"),
    *("sequence_log_prob",),
}


def kept_clauses(name, clauses=CLAUSES):
    case = CASES[name]
    inputs = case.draw(np.random.default_rng(0), 4, 3)
    return assert_loss_contract(case.loss, inputs, clauses=clauses, **case.contract)


def test_every_public_loss_has_a_case():
    functions = {getattr(case.loss, "func", case.loss).__name__ for case in CASES.values()}
    assert functions == set(xentjax.losses.__all__) - OTHERS


def marked(slow):
    return [pytest.param(n, marks=[pytest.mark.slow] if slow(n) else []) for n in CASES]


@pytest.mark.parametrize("name", marked(lambda name: name not in TELLING))
def test_the_loss_keeps_the_heart_of_the_contract(name):
    kept_clauses(name, QUICK)


@pytest.mark.parametrize("name", marked(lambda name: name != WHOLE))
def test_the_loss_keeps_the_contract(name, report_figure):
    report = kept_clauses(name)
    left_out = "; ".join(f"{clause}: {why}" for clause, why in report.left_out.items())
    report_figure(
        f"contract, {name}: {len(report.passed)} clauses kept"
        + (f", left out: {left_out}" if left_out else "")
    )
