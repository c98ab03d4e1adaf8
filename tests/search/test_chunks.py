"""Chunks fit the budget, share one program, and a budget for nothing is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.search.chunks import ChunkCompiler, chunk_rows

TRIALS, WIDTH = 10, 1000
SHARED = (np.ones(WIDTH, np.float32),)
PER_TRIAL = (None, np.arange(TRIALS, dtype=np.float32))


def run(progress, scales, row):
    """Each trial puts out 4 · WIDTH bytes, besides the row that all share."""
    assert progress is None
    return jnp.sin(scales[:, None] * row[None, :])


def test_without_a_budget_all_trials_go_at_once():
    compiler = ChunkCompiler(run)
    chunked = compiler.fit(PER_TRIAL, SHARED, TRIALS)
    assert (chunked.size, compiler.programs) == (TRIALS, 1)
    assert chunked.bytes >= 4 * WIDTH * (TRIALS + 1)


def test_a_call_fits_the_budget_in_chunks_of_equal_size():
    whole = ChunkCompiler(run).fit(PER_TRIAL, SHARED, TRIALS).bytes
    budget = whole // 2
    compiler = ChunkCompiler(run, budget)
    chunked = compiler.fit(PER_TRIAL, SHARED, TRIALS)
    assert chunked.bytes <= budget
    # Four and a half times WIDTH floats would fit: 10 trials are 4 + 4 + 2.
    assert chunked.size == 4
    assert compiler.fit(PER_TRIAL, SHARED, TRIALS) is chunked
    assert compiler.programs == 2  # the one found too large, and the one used


def test_the_program_of_a_chunk_computes_the_same():
    chunked = ChunkCompiler(run, 30_000).fit(PER_TRIAL, SHARED, TRIALS)
    for places in chunk_rows(TRIALS, chunked.size):
        ours = chunked.compiled(None, PER_TRIAL[1][places], *SHARED)
        theirs = np.sin(places[:, None] * np.ones(WIDTH))
        # The sine of a float32 argument up to 10: one rounding of each.
        np.testing.assert_allclose(ours, theirs, atol=2 * np.finfo(np.float32).eps)


def test_a_budget_below_one_trial_is_refused_with_the_bytes_it_takes():
    with pytest.raises(ValueError, match=r"memory_budget must hold one trial, which takes 8,\d+ b"):
        ChunkCompiler(run, 5000).fit(PER_TRIAL, SHARED, TRIALS)


def test_chunks_cover_all_trials_and_repeat_the_last():
    rows = chunk_rows(7, 3)
    assert [each.tolist() for each in rows] == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]
