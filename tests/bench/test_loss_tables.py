"""The tables of docs/losses.md are those of the kept figures, and no loss is missing from them."""

import json

import numpy as np

import xentjax
from bench import conformance, contract, loss_table
from bench.cases import CASES
from bench.cases.case import LossCase
from bench.document import between
from bench.record import RESULTS, Record
from bench.situations import Situation
from xentjax.testing.contract import CLAUSES

DOCUMENT = loss_table.DOCUMENT.read_text("utf-8")
TIMES = Record.read(RESULTS / "losses.json")


def kept(module):
    return json.loads(module.RESULTS.read_text("utf-8"))


def test_the_document_names_every_public_loss():
    others = {"bits", "bits_per_byte", "perplexity", "reduce", "total_and_weight"}
    missing = [n for n in xentjax.losses.__all__ if n not in others and f"`{n}`" not in DOCUMENT]
    assert missing == []


def test_tables_are_made_from_the_figures():
    figures = kept(conformance)
    for name, table in {
        "contract": contract.table(kept(contract)),
        "agreement": conformance.agreement_table(figures["agreement"]),
        "differences": conformance.difference_table(figures["differences"]),
        "time": loss_table.markdown(TIMES),
    }.items():
        assert between(DOCUMENT, name, table) == DOCUMENT, f"run the bench that makes {name!r}"


def test_every_case_was_examined_timed_and_compared():
    found = kept(contract)
    assert list(found) == list(CASES)
    for name, case in CASES.items():
        assert sorted([*found[name]["kept"], *found[name]["left_out"]]) == sorted(CLAUSES)
        assert set(case.contract.get("leave_out", ())) <= set(found[name]["left_out"])
    assert {contest.case for contest in TIMES.contests} | set(TIMES.failed) == set(CASES)
    with_peer = {name for name, case in CASES.items() if case.optax is not None}
    assert set(kept(conformance)["agreement"]) == with_peer


def test_a_difference_between_two_losses_is_found():
    case = CASES["squared error"]
    worst = conformance.agreement(
        LossCase(case.loss, case.draw, case.contract, optax=lambda x, y: 2 * (x - y) ** 2),
        draws=3,
    )
    assert worst["value"] > 0.3
    assert worst["gradient"] > 0.3
    assert conformance.agreement(case, draws=3) == {"value": 0.0, "gradient": 0.0}


def test_a_situation_tells_figures_and_errors():
    def refuse():
        raise ValueError("no")

    row = Situation("a", "b", refuse, lambda: np.array([0.5, np.nan])).measured()
    assert row == {"loss": "a", "input": "b", "optax": "ValueError", "xentjax": "[0.5, NaN]"}
