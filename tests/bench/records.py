"""Records with made-up figures, for the tests of the frame."""

from bench.contest import BYTES, FLOOR, OURS, PEER, VARIANT, Contest, Entry
from bench.record import Record
from xentjax.timing import Environment

ENVIRONMENT = Environment("cpu", "cpu", 1, "Linux x86_64", 2, {"python": "3.11", "jax": "0.10"})


def contest(case="a", factor=2.0, scatter=0.01, table="value"):
    """xentjax takes `factor` times the peer's second and twice the floor's, over four rounds."""
    steps = (-scatter, 0.0, scatter, 0.0)
    samples = tuple(factor + step for step in steps)
    return Contest(
        table,
        case,
        (
            Entry("xentjax", OURS, samples, temp_bytes=2_000_000),
            Entry("xentjax, tile 8", VARIANT, samples),
            Entry("optax", PEER, (1.0,) * 4, temp_bytes=4_000_000),
            Entry("bare pass", FLOOR, (0.5,) * 4),
        ),
        checked="results differ by at most 1.0e-07",
        left_out={"torch": "MemoryError: needs 3 GB of 2 GB"},
        note="tile 16",
    )


def memory(ours=1.0, theirs=2.0):
    """A row of bytes: nothing is random."""
    entries = (Entry("xentjax", OURS, (ours,)), Entry("optax", PEER, (theirs,)))
    return Contest("memory", "a", entries, BYTES)


def record(*contests, bench="dense", **options):
    """A record of those rows."""
    return Record(bench, ENVIRONMENT, False, 12.3, tuple(contests), **options)
