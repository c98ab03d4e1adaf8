"""Lines keep every nat, kinds follow the rule, and groups that differ are told apart."""

import numpy as np
import pytest

from xentjax.audit.lines import Line, line_kind, loss_of_lines, split_lines
from xentjax.data import ByteTokenizer


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("The for statement is used to iterate over the elements of a sequence", "prose"),
        ("   If the object is mutable, its value may change in the caller's eyes.", "prose"),
        ("   * the name of the class and nothing else besides", "prose"),
        (">>> x = 1", "code"),
        ("   def f(x):", "code"),
        ("       return x", "code"),
        ("import os", "code"),
        ("   print(a, b)", "code"),
        ("   total += 1", "code"),
        ("   return self.value", "code"),
        (">>> compare the words of every line with those of the next", "code"),
        ("from the list of names that the module holds", "prose"),
        ('   async_with_stmt: "async" with_stmt', "other"),
        ("", "other"),
        ("   ", "other"),
        ("Basics", "other"),
        ("======", "other"),
        ("See also:", "other"),
    ],
)
def test_kinds_follow_the_rule(line, kind):
    assert line_kind(line) == kind


@pytest.mark.parametrize("text", ["one\ntwo\n", "one\n\nthree €", "\n", "no end"])
def test_lines_keep_every_character_and_every_nat(text):
    tokens = ByteTokenizer().encode(text).astype(np.int32)
    losses = np.arange(1, len(tokens) + 1, dtype=np.float32)
    lines = split_lines(ByteTokenizer(), tokens, losses)
    assert [line.text for line in lines] == text.splitlines(keepends=True)
    assert sum(line.loss for line in lines) == losses.sum()
    assert sum(line.size for line in lines) == len(tokens)


def test_the_rate_is_that_of_all_bytes_and_its_interval_that_of_independent_lines():
    rng = np.random.default_rng(0)
    lines = [Line("", float(rng.gamma(2.0)) * n, n) for n in rng.integers(5, 60, 4000).tolist()]
    found = loss_of_lines(lines, seed=0)
    size = sum(line.size for line in lines)
    rate = sum(line.loss for line in lines) / size
    assert found.nats_per_byte == pytest.approx(rate, rel=1e-5)
    # The delta method's standard error of a ratio, which the bootstrap of 250 runs estimates
    # within 1 / √500 = 4.5 %.
    residuals = np.array([line.loss - rate * line.size for line in lines])
    error = np.sqrt((residuals**2).sum()) / size
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_one_line_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        loss_of_lines([Line("a", 1.0, 1)], seed=0)


def test_lines_that_hang_together_make_the_interval_wider():
    rng = np.random.default_rng(0)
    loss, losses = 0.0, []
    for step in rng.normal(scale=0.6, size=4000):
        loss = 0.8 * loss + step  # of standard deviation 1, each line like the one before
        losses.append(loss)
    found = loss_of_lines([Line("", 10 + loss, 1) for loss in losses], seed=0)
    # The mean of n lines has the standard deviation √((1 + 0.8) / (1 − 0.8) / n) = 3 / √n; runs of
    # 16 see √6.6 = 2.6 of the 3, and that within a fifth (250 runs, 1000 resamples); lines 1.
    width = (found.high - found.low) / (2 * 1.96 / 4000**0.5)
    assert 2.1 < width < 3.1
