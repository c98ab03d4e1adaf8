"""Ratios, who loses, and the one form on file."""

import json

import pytest

from bench.contest import FLOOR, OURS, PEER, Contest, Entry
from bench.effort import Effort
from bench.record import Record
from tests.bench.records import contest, memory, record


def test_a_ratio_is_paired_by_round():
    ours, theirs = Entry("xentjax", OURS, (2.0, 30.0)), Entry("optax", PEER, (1.0, 10.0))
    found = Contest("t", "c", (ours, theirs)).ratio(ours, theirs)
    assert (found.median, found.iqr, found.count) == (2.5, 0.5, 2)


@pytest.mark.parametrize(
    ("factor", "scatter", "loses"),
    # The IQR of ±s and two zeros is s / 2; √(π/2) / 1.349 / √4 · s / 2 is 0.23 s, twice that is
    # the spread: at s = 0.4 a ratio of 1.1 is within it, at s = 0.1 it is beyond.
    [(0.9, 0.01, False), (1.1, 0.4, False), (1.1, 0.1, True), (1.005, 0.0, False)],
)
def test_a_row_is_lost_beyond_the_spread_only(factor, scatter, loses):
    assert list(contest(factor=factor, scatter=scatter).lost_to()) == (["optax"] if loses else [])


def test_a_floor_is_no_peer_and_bytes_have_no_spread():
    assert "bare pass" not in contest(factor=3.0).lost_to()
    assert list(memory(ours=3.0, theirs=2.0).lost_to()) == ["optax"]
    assert memory(ours=1.0, theirs=2.0).lost_to() == {}


def test_a_contest_has_one_xentjax_and_at_most_one_floor():
    entry = Entry("optax", PEER, (1.0,))
    with pytest.raises(ValueError, match="one entry with role 'ours'"):
        Contest("t", "c", (entry,))
    floors = [Entry(name, FLOOR, (1.0,)) for name in "ab"]
    with pytest.raises(ValueError, match="more than one floor"):
        Contest("t", "c", (Entry("xentjax", OURS, (1.0,)), *floors))


def test_a_record_comes_back_from_json_as_it_was():
    kept = record(contest(), memory(), absent={"tokamax": "not installed"}, failed={"x": "why"})
    assert Record.from_json(kept.to_json()) == kept
    samples = [line for line in kept.to_json().splitlines() if '"samples"' in line]
    assert "[ 1.99, 2.0, 2.01, 2.0 ]" in samples[0]


def test_a_row_cannot_be_there_twice():
    with pytest.raises(ValueError, match="rows twice"):
        record(contest(), contest())


@pytest.mark.parametrize("text", ["[]", "{}", json.dumps({"schema": 0})])
def test_another_form_is_refused(text, tmp_path):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"old\.json.*schema"):
        Record.read(path)


def test_rounds_follow_the_budget_within_bounds():
    assert Effort().rounds_for(0.1, budget=2.0) == 20
    assert Effort(full=True).rounds_for(1.0, budget=2.0) == 20
    assert Effort().rounds_for(100.0, budget=2.0) == 5
    assert Effort().rounds_for(1e-9, budget=2.0) == 50
    assert Effort(rounds=2).rounds_for(100.0, budget=2.0) == 2
