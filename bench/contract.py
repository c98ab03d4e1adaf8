"""Every case of the family against all clauses of the contract, as a table in docs/losses.md.

Run `python -m bench.contract` (ten minutes of compilation), or name cases; the results of those
not named are kept. The slow tests check the same; this writes down what they find.
"""

import argparse
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_num_cpu_devices", 8)  # for the clause on shard_map; before any array is made

# ruff: noqa: E402
import numpy as np
from rich.console import Console
from rich.progress import track

from bench.cases import CASES, FAMILIES
from bench.document import between
from bench.loss_table import DOCUMENT
from xentjax.testing import assert_loss_contract
from xentjax.testing.contract import CLAUSES

RESULTS = Path(__file__).parent / "results" / "contract.json"


def examined(name: str) -> dict[str, Any]:
    """The clauses a case keeps and those left out, with the reasons; raises where one is broken."""
    case = CASES[name]
    inputs = case.draw(np.random.default_rng(0), 4, 3)
    report = assert_loss_contract(case.loss, inputs, **case.contract)
    return {"kept": list(report.passed), "left_out": dict(report.left_out)}


def table(results: Mapping[str, Any]) -> str:
    """Markdown: one row a case, under its family."""
    lines = [f"| case | clauses kept of {len(CLAUSES)} | left out, and why |", "|---|---:|---|"]
    for family, cases in FAMILIES.items():
        lines.append(f"| **{family}** | | |")
        for name in cases:
            found = results[name]
            lines.append(f"| {name} | {len(found['kept'])} | {_reasons(found['left_out'])} |")
    return "\n".join(lines)


def _reasons(left_out: Mapping[str, str]) -> str:
    clauses: dict[str, list[str]] = {}
    for clause, why in left_out.items():
        clauses.setdefault(why, []).append(f"`{clause}`")
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in clauses.items()) or "–"


def parse_name(text: str) -> str:
    if text not in CASES:
        close = difflib.get_close_matches(text, CASES, n=3)
        raise argparse.ArgumentTypeError(f"no loss is called {text!r}; near it: {close}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", type=parse_name, nargs="*", help="cases to examine (all)")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    for name in track(options.names or list(CASES), "examining", console=Console(stderr=True)):
        results[name] = examined(name)
        kept = {name: results[name] for name in CASES if name in results}
        RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(between(text, "contract", table(results)), "utf-8")


if __name__ == "__main__":
    main()
