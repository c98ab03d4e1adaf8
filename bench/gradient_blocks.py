"""Would a filter of small gradients pay? How much of d logits could be left out, and in what units.

Run `python -m bench.gradient_blocks` (seconds). A filter can only save what a matrix product would
not touch: whole blocks of a tile, here the 410 rows by 1024 columns of `xentjax.fused.plan` on a
CPU. The logits are those of a language model as far as it matters: Zipf's law over the vocabulary,
and a normal deviation of each context from it; labels are drawn from the model.
"""

import argparse
from itertools import product

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from xentjax.fused import plan

VOCABULARY, DEVIATIONS = 32768, (1.0, 2.0, 3.0)
# Half a unit in the last place of 1 in float32, and of bfloat16 with a few guard bits.
BOUNDS = (24, 12)


def slopes(deviation: float, is_sorted: bool, rows: int, seed: int = 0) -> np.ndarray:
    """d loss / d logits [rows, V] of softmax cross-entropy, the classes by frequency or not."""
    rng = np.random.default_rng(seed)
    frequent = -np.log(np.arange(1, VOCABULARY + 1))
    frequent = frequent if is_sorted else rng.permutation(frequent)
    logits = frequent + deviation * rng.standard_normal((rows, VOCABULARY))
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    labels = [rng.choice(VOCABULARY, p=row) for row in p]
    p[np.arange(rows), labels] -= 1
    return np.abs(p)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = plan(4096, 512, VOCABULARY, platform="cpu")
    table = Table("deviation", "classes", box=box.SIMPLE_HEAD)
    for bits, what in product(BOUNDS, ("entries", "blocks")):
        table.add_column(f"{what} below 2^-{bits}", justify="right")
    for deviation, is_sorted in product(DEVIATIONS, (True, False)):
        entries = slopes(deviation, is_sorted, found.tile)
        blocks = entries.reshape(found.tile, -1, found.block).max((0, 2))
        shares = [f"{(x < 2.0**-bits).mean():.0%}" for bits in BOUNDS for x in (entries, blocks)]
        table.add_row(f"{deviation:g}", "by frequency" if is_sorted else "shuffled", *shares)
    Console().print(table)


if __name__ == "__main__":
    main()
