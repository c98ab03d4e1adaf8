"""CTC against the sum over all alignments, 50 digits, torch and optax; and where no sum exists."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from bench.cases.sequences import CASES
from xentjax import softmax_cross_entropy
from xentjax.losses.ctc import ctc_loss
from xentjax.testing import assert_loss_contract

T, C, L = 5, 3, 3
EPS = 2.0**-23
# All label sequences without the blank 0 of at most three labels, with every length they fit.
SEQUENCES = [y for n in range(L + 1) for y in itertools.product((1, 2), repeat=n)]
ROWS = [(y, t) for y in SEQUENCES for t in (0, 1, 3, 5)]
LABELS = np.array([(*y, *(L - len(y)) * (0,)) for y, _ in ROWS], np.int32)
LABEL_LENGTHS = np.array([len(y) for y, _ in ROWS], np.int32)
FRAME_LENGTHS = np.array([t for _, t in ROWS], np.int32)
FEASIBLE = np.array([len(y) + sum(a == b for a, b in itertools.pairwise(y)) <= t for y, t in ROWS])
LOGITS = np.random.default_rng(0).normal(size=(len(ROWS), T, C)).astype(np.float32)


@jax.jit
def with_gradient(logits, labels, frame_lengths, label_lengths):
    """Losses [B], and the gradient of their sum."""
    loss = lambda x: ctc_loss(x, labels, frame_lengths, label_lengths)  # noqa: E731
    losses, pull = jax.vjp(loss, logits)
    return losses, pull(jnp.ones_like(losses))[0]


def collapse(path, blank=0):
    return tuple(c for c, _ in itertools.groupby(path) if c != blank)


def spellings(y, frames, classes=C, blank=0):
    paths = itertools.product(range(classes), repeat=frames)
    return [path for path in paths if collapse(path, blank) == tuple(y)]


def by_enumeration(logits, y, frames):
    """The loss and its gradient in 50 digits, from every alignment."""
    with mpmath.workdps(50):
        exps = [[mpmath.exp(mpmath.mpf(float(v))) for v in row] for row in logits[:frames]]
        p = [[e / mpmath.fsum(row) for e in row] for row in exps]
        paths = spellings(y, frames)
        masses = [mpmath.fprod(p[t][c] for t, c in enumerate(path)) for path in paths]
        total = mpmath.fsum(masses)
        slope = np.zeros(logits.shape)
        for t in range(frames):
            for c in range(C):
                here = mpmath.fsum(m for m, path in zip(masses, paths, strict=True) if path[t] == c)
                slope[t, c] = p[t][c] - here / total
        return float(-mpmath.log(total)), slope


def enumerated(logits):
    some = [i for i in range(len(ROWS)) if FEASIBLE[i]]
    found = [by_enumeration(logits[i], *ROWS[i]) for i in some]
    return some, np.array([f[0] for f in found]), np.stack([f[1] for f in found])


def test_equals_the_sum_over_all_alignments():
    losses, slopes = with_gradient(LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    some, wanted, slope = enumerated(LOGITS)
    # T frames, a few roundings of costs near 10 each.
    np.testing.assert_allclose(losses[np.array(some)], wanted, rtol=4 * T * EPS)
    np.testing.assert_allclose(slopes[np.array(some)], slope, rtol=0, atol=8 * T * EPS)


def test_what_no_alignment_spells_costs_infinity_and_pulls_nowhere():
    losses, slopes = with_gradient(LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    np.testing.assert_array_equal(np.isinf(losses), ~FEASIBLE)
    assert not np.any(np.asarray(slopes)[~FEASIBLE])
    nothing = (LABEL_LENGTHS == 0) & (FRAME_LENGTHS == 0)
    assert not np.any(np.asarray(losses)[nothing])  # no frames spell no labels, for certain
    zeroed = ctc_loss(LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS, zero_infinity=True)
    # The value alone comes from another program: beginnings and endings meet halfway.
    np.testing.assert_allclose(zeroed, np.where(FEASIBLE, losses, 0), rtol=4 * T * EPS)


@pytest.mark.parametrize("margin", [8.0, 15.0, 30.0])
def test_a_small_loss_keeps_its_digits(margin):
    # A sure alignment a-bb-: every other one spells something else or is as unlikely.
    logits = np.zeros((len(ROWS), T, C), np.float32)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, logits.shape)
    for t, c in enumerate((1, 0, 2, 2, 0)):
        logits[:, t, c] = margin
    logits = (logits + noise).astype(np.float32)
    row = next(i for i, (y, t) in enumerate(ROWS) if y == (1, 2) and t == T)
    losses, slopes = with_gradient(logits, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    wanted, slope = by_enumeration(logits[row], (1, 2), T)
    assert 0 < wanted < 10 * np.exp(1 - margin)
    # Rounding a logit near `margin` alone moves e^-margin by margin·eps; T frames of such terms,
    # which cancel by a third here.
    tolerance = 4 * T * (1 + margin) * EPS
    np.testing.assert_allclose(losses[row], wanted, rtol=tolerance)
    np.testing.assert_allclose(slopes[row], slope, rtol=0, atol=tolerance * np.abs(slope).max())


def test_the_error_is_some_roundings_of_the_likeliest_alignment():
    rng, row = np.random.default_rng(6), ROWS.index(((1, 2), T))
    paths = np.array(spellings((1, 2), T))
    logits = rng.uniform(-0.5, 0.5, LOGITS.shape)
    for x in logits:
        # Sure to another degree at each frame: neighbouring alignments cancel most of its cost.
        x[np.arange(T), paths[rng.integers(len(paths))]] += rng.uniform(5, 25, T)
    logits = logits.astype(np.float32)
    same = lambda x: np.repeat(x[row : row + 1], len(ROWS), 0)  # noqa: E731
    losses, _ = with_gradient(logits, same(LABELS), same(FRAME_LENGTHS), same(LABEL_LENGTHS))
    for i in range(12):
        wanted, _ = by_enumeration(logits[i], (1, 2), T)
        log_p = logits[i] - np.logaddexp.reduce(logits[i].astype(np.float64), -1, keepdims=True)
        cost = -log_p[np.arange(T)[None], paths].sum(-1).max()
        # A logit near 25 moves its e⁻²⁵ by 25 roundings.
        np.testing.assert_allclose(losses[i], wanted, rtol=0, atol=2 * T * 26 * EPS * cost)


def test_is_never_negative():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=LOGITS.shape) * rng.choice([1, 10, 100, 1e4], (len(ROWS), 1, 1))
    for y, t in itertools.product(((1, 2), (1,), ()), (5,)):
        row = ROWS.index((y, t))
        logits[row, :, 0] += 40  # certain blanks, and the labels certain where they are due
        for i, c in enumerate(y):
            logits[row, 2 * i, c] += 80
    losses, slopes = with_gradient(logits.astype(np.float32), LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    assert np.all(np.asarray(losses) >= 0)
    assert np.all(np.isfinite(slopes))
    assert np.all(np.isfinite(np.asarray(losses)[FEASIBLE]))


def test_what_lies_beyond_a_length_reaches_nothing():
    beyond = np.arange(T)[None] >= FRAME_LENGTHS[:, None]
    logits = np.where(beyond[..., None], np.nan, LOGITS).astype(np.float32)
    labels = np.where(np.arange(L)[None] >= LABEL_LENGTHS[:, None], -7, LABELS)
    wanted = with_gradient(LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    got = with_gradient(logits, labels, FRAME_LENGTHS, LABEL_LENGTHS)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)
    assert not np.any(np.asarray(got[1])[beyond])


def test_classes_at_minus_infinity():
    # Without the blank, (1, 2) is still spelled by 1…12…2; (1, 1) by nothing, as 2 without a 2.
    logits, rows = LOGITS.copy(), [ROWS.index((y, 5)) for y in ((1, 2), (1, 1), (1,))]
    logits[rows[:2], :, 0] = -np.inf
    logits[rows[2], :, 2] = -np.inf
    losses, slopes = with_gradient(logits, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    for i in (rows[0], rows[2]):
        wanted, slope = by_enumeration(logits[i], *ROWS[i])
        np.testing.assert_allclose(losses[i], wanted, rtol=4 * T * EPS)
        np.testing.assert_allclose(slopes[i], slope, rtol=0, atol=8 * T * EPS)
    assert losses[rows[1]] == np.inf
    assert np.all(np.isfinite(slopes))


def test_equals_torch_with_its_lengths_and_reductions():
    torch = pytest.importorskip("torch", reason="the oracle is torch.nn.functional.ctc_loss")
    losses, slopes = with_gradient(LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    x = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    some = FEASIBLE & (FRAME_LENGTHS > 0)  # torch's gradient is NaN elsewhere
    torch_ctc = partial(
        torch.nn.functional.ctc_loss,
        torch.log_softmax(x, -1).transpose(0, 1)[:, some],
        torch.tensor(LABELS[some]),
        torch.tensor(FRAME_LENGTHS[some]),
        torch.tensor(LABEL_LENGTHS[some]),
    )
    wanted = torch_ctc(reduction="none")
    wanted.sum().backward()
    np.testing.assert_allclose(losses[some], wanted.detach(), rtol=4 * T * EPS)
    np.testing.assert_allclose(slopes[some], x.grad[some], rtol=0, atol=8 * T * EPS)
    # torch's mean: of the losses divided by their target lengths, those of length 0 by 1.
    share = some / np.maximum(LABEL_LENGTHS, 1) / some.sum()
    mean = ctc_loss(
        LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS, where=some, weights=share, reduction="sum"
    )
    np.testing.assert_allclose(mean, torch_ctc(reduction="mean").detach(), rtol=4 * T * EPS)


def test_equals_optax_on_its_domain():
    case = CASES["CTC"]
    inputs = case.draw(np.random.default_rng(3), 4, 8)
    with jax.numpy_rank_promotion("allow"):
        wanted = jax.jit(case.optax)(*inputs)
    # 32 frames of costs near 2, each rounded a few times by both.
    np.testing.assert_allclose(case.loss(*inputs), wanted, rtol=8 * EPS * 32**0.5)


@pytest.mark.slow
def test_the_hessian_is_that_of_the_sum_over_alignments(x64):  # noqa: ARG001
    y, frames = (1, 2), 4
    paths = np.array(spellings(y, frames))

    def enumerated(x):
        scores = jnp.sum(jax.nn.log_softmax(x)[np.arange(frames)[None], paths], -1)
        return -jax.nn.logsumexp(scores)

    padded = jnp.array((*y, 0))
    ours = lambda x: ctc_loss(x, padded, label_lengths=len(y))  # noqa: E731
    for x in (np.zeros((frames, C)), LOGITS[0, :frames].astype(np.float64)):
        wanted = jax.jit(jax.hessian(enumerated))(jnp.asarray(x))
        # Some hundred sums of numbers below 1 in float64.
        np.testing.assert_allclose(jax.jit(jax.hessian(ours))(jnp.asarray(x)), wanted, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("blank", [0, 3])
def test_every_labelling_of_longer_frames_and_more_classes(blank):
    frames, classes, rng = 6, 4, np.random.default_rng(4)
    letters = [c for c in range(classes) if c != blank]
    sequences = [y for n in range(4) for y in itertools.product(letters, repeat=n)]
    labels = np.array([(*y, *(3 - len(y)) * (blank,)) for y in sequences])
    logits = rng.normal(scale=3, size=(len(sequences), frames, classes)).astype(np.float32)
    lengths = np.array([len(y) for y in sequences])
    got = ctc_loss(logits, labels, None, lengths, blank=blank)
    log_p = logits - np.logaddexp.reduce(logits.astype(np.float64), -1, keepdims=True)
    paths = np.array(list(itertools.product(range(classes), repeat=frames)))
    spelled = [collapse(path, blank) for path in paths]
    scores = log_p[:, np.arange(frames)[None], paths].sum(-1)
    for i, y in enumerate(sequences):
        mine = np.array([s == y for s in spelled])
        np.testing.assert_allclose(got[i], -np.logaddexp.reduce(scores[i, mine]), rtol=64 * EPS)


def test_any_batch_shape_and_none():
    flat, _ = with_gradient(LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    boxes = (x.reshape(2, -1, *x.shape[1:]) for x in (LOGITS, LABELS, FRAME_LENGTHS))
    boxed = ctc_loss(*boxes, LABEL_LENGTHS.reshape(2, -1))
    np.testing.assert_allclose(np.ravel(boxed), flat, rtol=4 * T * EPS)
    row = ROWS.index(((1, 2, 1), 5))
    alone = ctc_loss(LOGITS[row], LABELS[row])
    np.testing.assert_allclose(alone, by_enumeration(LOGITS[row], *ROWS[row])[0], rtol=4 * T * EPS)


@pytest.mark.parametrize("y", [(), (2,)])
def test_one_frame_is_cross_entropy(y):
    label = np.array(y[0] if y else 0)
    ctc = lambda x: ctc_loss(x[:1], np.array(y, np.int32))  # noqa: E731
    plain = lambda x: softmax_cross_entropy(x[0], label)  # noqa: E731
    for got, wanted in zip(
        jax.value_and_grad(ctc)(LOGITS[0]), jax.value_and_grad(plain)(LOGITS[0]), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=8 * EPS, atol=4 * EPS)


def test_not_a_number_shows():
    logits, row = LOGITS.copy(), ROWS.index(((1, 2), 5))
    logits[row, 2, 1] = np.nan
    losses, slopes = with_gradient(logits, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)
    np.testing.assert_array_equal(np.isnan(losses), np.arange(len(ROWS)) == row)
    assert np.isnan(slopes[row]).any()


def test_bad_input_is_refused():
    x, y = jnp.zeros((2, 4, 3)), np.array([[1, 2], [2, 2]])
    with pytest.raises(ValueError, match=r"without the blank 2, got 2 at position \(0, 1\): the b"):
        ctc_loss(x, y, blank=2)
    with pytest.raises(ValueError, match=r"got 3 at position \(1, 0\): no class; give label_len"):
        ctc_loss(x, np.array([[1, 2], [3, 1]]))
    with pytest.raises(ValueError, match=r"label_lengths must lie in \[0, 2\], got 3 at position"):
        ctc_loss(x, y, None, np.array([2, 3]))
    with pytest.raises(ValueError, match=r"frame_lengths must lie in \[0, 4\], got -1 at position"):
        ctc_loss(x, y, np.array([-1, 3]))
    with pytest.raises(ValueError, match=r"blank must be one of the classes, in \[0, 3\), got -1"):
        ctc_loss(x, y, blank=-1)
    with pytest.raises(ValueError, match=r"labels must have shape \[\*batch, L\]"):
        ctc_loss(x, y[0])
    with pytest.raises(ValueError, match="at least one frame"):
        ctc_loss(x[:, :0], y)
    with pytest.raises(TypeError, match="label_lengths must be integers, got float32"):
        ctc_loss(x, y, None, jnp.array([2.0, 2.0]))


def test_bad_input_is_nan_under_jit_and_masked_rows_are_not_there():
    y, frames, letters = LABELS.copy(), FRAME_LENGTHS.copy(), LABEL_LENGTHS.copy()
    blank, none, short, long = (ROWS.index((s, 5)) for s in ((1, 2), (1, 1), (2,), (2, 1)))
    y[blank, 0], y[none, 1], letters[short], frames[long] = 0, C, -1, T + 1
    bad = np.isin(np.arange(len(ROWS)), (blank, none, short, long))
    losses, slopes = with_gradient(LOGITS, y, frames, letters)
    np.testing.assert_array_equal(np.isnan(losses), bad)
    np.testing.assert_array_equal(np.isnan(slopes).all((1, 2)), bad)
    wanted = with_gradient(LOGITS, LABELS, FRAME_LENGTHS, LABEL_LENGTHS)

    def total(x):
        x = jnp.where(bad[:, None, None], jnp.nan, x)
        return ctc_loss(x, y, frames, letters, where=~bad & FEASIBLE, reduction="sum")

    value, slope = jax.value_and_grad(total)(jnp.asarray(LOGITS))
    counted = (~bad & FEASIBLE)[:, None, None]
    np.testing.assert_allclose(value, np.sum(wanted[0], where=~bad & FEASIBLE), rtol=1e-5)
    np.testing.assert_array_equal(slope, np.where(counted, wanted[1], 0))


@pytest.mark.slow
def test_a_masked_class_is_not_there():
    # Labels as wide as the frames, so that the clause can tell which class they leave free.
    labels = np.array([[1, 2, -1, -1], [2, 1, -1, -1]])
    assert_loss_contract(
        partial(ctc_loss, label_lengths=2),
        (LOGITS[:2, :4], labels),
        event_dims=2,
        clauses=("masked_class",),
    )
