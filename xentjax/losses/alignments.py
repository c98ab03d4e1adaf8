"""The sum over all alignments of a label sequence with the frames: the mathematics of CTC.

An alignment gives each frame one class, a label or the blank; it stands for the labels that are
left when repetitions are merged and blanks removed. There are exponentially many, but all that
matters at frame t is the position i = 0 … L (how many labels have begun) and whether frame t
holds the blank or label i. So two numbers a position,

    blank_i, label_i = log of the mass of all beginnings that end there,

run through the frames. With log(eᵃ + eᵇ) written a ⊕ b and emissions e, one step is

    blank_i ← e_blank + (blank_i ⊕ label_i)
    label_i ← e_i + (label_i ⊕ (blank_{i−1} ⊕ label_{i−1})),  without label_{i−1} if it is equal.

The same recursion from the last frame and the last label gives the mass of all endings. Both run
as one scan, and where they meet lies everything: the loss, and the posterior of each frame, which
is the derivative. Emissions are x − max x ≤ 0: what is certain is exactly 0, and near 0 floats
are dense, so a small loss keeps its digits.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from xentjax.losses.log_partition import top_logit
from xentjax.losses.row_partition import log_total, split_top

# Stands for log 0. Finite, so that no difference of two of them is NaN; so far down that a sum of
# what logits differ by does not come near; and 10⁸ of them can be added in float32.
_NEVER = -1e30


class Transcript(NamedTuple):
    """What was said, and which frames count; any of it may be traced."""

    labels: Array  # [B, L] int32, whatever beyond the length
    lengths: Array  # [B] int32, 0 … L
    frames: Array | None  # [B, T] bool, the first ones of each row; None when all count


class _Emissions(NamedTuple):
    """Logits of the frames below their top, laid out as `_State` with a leading T."""

    blank: Array
    label: Array


class _State(NamedTuple):
    """Log masses [B, 2(L + 1)]: positions 0 … L forwards, then 0 … L backwards.

    Index i of `label` is the label that begins position i; there is none for position 0. Batches
    lead and both directions share an axis, so that batches may be sharded.
    """

    blank: Array
    label: Array


# Every argument that is traced enters the rules by name: closures break checkpoint and scan.
@partial(jax.custom_jvp, nondiff_argnums=(2,))
def alignment_nll(logits: Array, transcript: Transcript, blank: int) -> Array:
    """−log P(labels), [B], of logits [B, T, C]; +inf with zero gradient where no alignment fits."""
    log_mass = _log_mass(_emissions(logits, transcript, blank), transcript)
    return _nll(logits, log_mass, transcript.frames)


@alignment_nll.defjvp
def _alignment_nll_jvp(blank, primals, tangents):
    logits, transcript = primals
    value, slope = _value_and_slope(logits, transcript, blank)
    value = _with_derivative(value, logits, transcript, blank)
    return value, jnp.sum(slope * tangents[0], axis=(1, 2))


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def _with_derivative(value, logits, transcript, blank):  # noqa: ARG001
    """The value as it is, with the derivative of `alignment_nll`."""
    return value


@_with_derivative.defjvp
def _with_derivative_jvp(blank, primals, tangents):
    value, logits, transcript = primals
    _, slope = _value_and_slope(logits, transcript, blank)
    derivative = jnp.sum(slope * tangents[1], axis=(1, 2))
    return _with_derivative(value, logits, transcript, blank), derivative


def _nll(logits: Array, log_mass: Array, frames: Array | None) -> Array:
    totals = jnp.squeeze(log_total(_counted(logits, frames), -1), -1)
    if frames is not None:
        totals = jnp.where(frames, totals, 0)
    feasible = ~(log_mass < _NEVER / 2)  # NaN is not infeasible
    nll = jnp.sum(totals, axis=1) - jnp.where(feasible, log_mass, 0)
    # A probability: what lies below 0 is rounding. The derivative is that of the unclamped value.
    nll += lax.stop_gradient(jnp.maximum(nll, 0) - nll)
    return jnp.where(feasible, nll, jnp.inf)


def _counted(logits: Array, frames: Array | None) -> Array:
    """The logits, 0 in frames that do not count: whatever those hold, it reaches nothing."""
    return logits if frames is None else jnp.where(frames[..., None], logits, 0)


# --- emissions --------------------------------------------------------------------------------


def _emissions(logits: Array, transcript: Transcript, blank: int) -> _Emissions:
    frames = transcript.frames
    logits = _counted(logits, frames)
    top = top_logit(logits, -1)
    label = jax.vmap(lambda row, labels: row.at[:, labels].get(mode="clip"))(
        logits, transcript.labels
    )
    emitted_blank, label = _below(logits[..., blank], top[..., 0]), _below(label, top)
    if frames is not None:
        # As if the frame were certain to be blank: it leaves every mass that matters as it is.
        emitted_blank = jnp.where(frames, emitted_blank, 0)
        label = jnp.where(frames[..., None], label, _NEVER)
    none = jnp.full_like(emitted_blank[..., None], _NEVER)
    label = jnp.swapaxes(jnp.concatenate([none, label], axis=-1), 0, 1)
    blanks = jnp.broadcast_to(emitted_blank.T[..., None], label.shape)
    turned = jnp.concatenate([label[..., :1], jnp.flip(label[..., 1:], -1)], axis=-1)
    return _Emissions(
        jnp.concatenate([blanks, jnp.flip(blanks, 0)], axis=-1),
        jnp.concatenate([label, jnp.flip(turned, 0)], axis=-1),
    )


def _below(logits: Array, top: Array) -> Array:
    # The zero keeps a caller's product from being fused into the difference; see `unit_exp`.
    return jnp.maximum((logits + 0 * top) - top, _NEVER)


# --- the recursion ----------------------------------------------------------------------------


def _log_mass(emissions: _Emissions, transcript: Transcript) -> Array:
    """log Σ over all alignments, [B]: beginnings and endings meet halfway, in T/2 steps."""
    steps = emissions.blank.shape[0]
    half, odd = divmod(steps, 2)
    state, repeats = _start(emissions, transcript)

    def step(state, emission):
        return _advanced(_arrivals(state, repeats), emission), None

    state, _ = lax.scan(step, state, jax.tree.map(lambda x: x[:half], emissions))
    arrivals = _arrivals(state, repeats)
    if odd:
        state = _advanced(arrivals, jax.tree.map(lambda x: x[half], emissions))
    ways = _forwards(state), _backwards(arrivals)
    meetings = jnp.concatenate([a + b for a, b in zip(*ways, strict=True)], axis=-1)
    return jnp.squeeze(top_logit(meetings, -1) + log_total(meetings, -1), -1)


def _forwards(state: _State | _Emissions) -> tuple[Array, Array]:
    """The forward half: blanks of positions 0 … L, labels of positions 1 … L."""
    positions = state.blank.shape[-1] // 2
    return state.blank[..., :positions], state.label[..., 1:positions]


def _backwards(state: _State) -> tuple[Array, Array]:
    """The backward half in the order of the forward one."""
    positions = state.blank.shape[-1] // 2
    blank, label = state.blank[..., positions:], state.label[..., positions + 1 :]
    return jnp.flip(blank, -1), jnp.flip(label, -1)


def _value_and_slope(logits: Array, transcript: Transcript, blank: int) -> tuple[Array, Array]:
    """The loss [B] and its derivative [B, T, C], from T steps of both directions."""
    emissions = _emissions(logits, transcript, blank)
    start, repeats = _start(emissions, transcript)

    def step(state, emission):
        arrivals = _arrivals(state, repeats)
        return _advanced(arrivals, emission), arrivals

    last, arrivals = lax.scan(step, start, emissions)
    positions = transcript.labels.shape[1] + 1
    ends = _log_add(last.blank, last.label)[:, :positions]
    at_end = _positions(ends) == transcript.lengths[:, None]
    log_mass = jnp.sum(jnp.where(at_end, ends, 0), axis=-1)
    value = _nll(logits, log_mass, transcript.frames)
    feasible = value != jnp.inf  # NaN shows in the slope too
    posterior = _posterior(arrivals, emissions, jnp.where(feasible, log_mass, 0))
    counts = feasible[:, None] if transcript.frames is None else transcript.frames
    slope = _slope(_counted(logits, transcript.frames), posterior, transcript, blank)
    return value, jnp.where((counts & feasible[:, None])[..., None], slope, 0)


class _Posterior(NamedTuple):
    """The probability of each place at each frame, given the labels."""

    blank: Array  # [B, T], summed over positions
    label: Array  # [B, T, L]
    below_top: Array  # [B, T], on classes whose logit is below the largest of its frame


def _posterior(arrivals: _State, emissions: _Emissions, log_mass: Array) -> _Posterior:
    blank_before, label_before = _forwards(arrivals)
    blank_after, label_after = (jnp.flip(x, 0) for x in _backwards(arrivals))
    emitted_blank, emitted = _forwards(emissions)
    log_mass = log_mass[None, :, None]
    blank = jnp.exp(blank_before + blank_after + (emitted_blank - log_mass))
    label = jnp.exp(label_before + label_after + (emitted - log_mass))
    blank = jnp.sum(blank, axis=-1)
    # One but for the rounding of T additions, which is much alike in all places of a frame.
    total = blank + jnp.sum(label, axis=-1)
    total = jnp.where(total == 0, 1, total)
    blank, label = blank / total, label / total[..., None]
    below_top = jnp.where(emitted_blank[..., 0] < 0, blank, 0)
    below_top += jnp.sum(jnp.where(emitted < 0, label, 0), axis=-1)
    return _Posterior(blank.T, jnp.swapaxes(label, 0, 1), below_top.T)


def _slope(logits: Array, posterior: _Posterior, transcript: Transcript, blank: int) -> Array:
    """softmax − posterior by class; for a sole leading class (1 − posterior) − (1 − softmax)."""
    _, exps, rest, total, _ = split_top(logits, -1)

    def without_posterior(slope, labels, of_blank, of_label):
        slope = slope.at[:, blank].add(-of_blank)
        return slope.at[:, labels].add(-of_label, mode="drop", wrap_negative_indices=False)

    slope = jax.vmap(without_posterior)(
        exps / total, transcript.labels, posterior.blank, posterior.label
    )
    leads = (exps == 1) & (rest < 1)
    return jnp.where(leads, posterior.below_top[..., None] - rest / total, slope)


def _start(emissions: _Emissions, transcript: Transcript) -> tuple[_State, Array]:
    """The masses before either direction's first frame, and where a label repeats the one before.

    Forwards all mass is at position 0; backwards at the last, which is L − length turned round.
    """
    labels, lengths = transcript.labels, transcript.lengths
    positions = labels.shape[1] + 1
    repeats = jnp.pad(labels[:, 1:] == labels[:, :-1], ((0, 0), (1, 1)))[:, :positions]
    # Multiplied by zero, an emission gives the constant its place on a mesh.
    never = _NEVER + 0 * (emissions.label[0] + emissions.blank[0])
    last = positions + labels.shape[1] - lengths[:, None]
    starts = (_positions(never) == 0) | (_positions(never) == last)
    state = _State(jnp.where(starts, 0, never), never)
    return state, jnp.concatenate([repeats, jnp.flip(repeats, -1)], axis=-1)


def _positions(x: Array) -> Array:
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)


def _advanced(arrivals: _State, emission: _Emissions) -> _State:
    return _State(arrivals.blank + emission.blank, arrivals.label + emission.label)


def _arrivals(state: _State, repeats: Array) -> _State:
    """The masses that reach each place of the next frame, before its emission."""
    blank, label = state
    either = _log_add(blank, label)
    onward = jnp.where(repeats, blank, either)
    # What rolls over the ends of the halves falls on index 0, which no emission lets live.
    return _State(either, _log_add(label, jnp.roll(onward, 1, -1)))


def _log_add(a: Array, b: Array) -> Array:
    """log(eᵃ + eᵇ) of finite numbers, with the right derivatives of every order at a = b too."""
    difference = a - b
    leads = difference > 0
    # Selects, not max and abs: those split a tie, and their second derivative there is wrong.
    return jnp.where(leads, a, b) + _log1p_exp(jnp.where(leads, -difference, difference))


def _log1p_exp(x: Array) -> Array:
    """log(1 + eˣ) for x ≤ 0 to two roundings, at 60 % of the cost of log1p on a CPU.

    2 artanh(w) = 2 (w + w³/3 + w⁵/5 + …) with w = eˣ / (2 + eˣ) ≤ 1/3.
    """
    unit = jnp.exp(x)
    w = unit / (2 + unit)
    square = w * w
    terms = 9 if x.dtype == jnp.float32 else 18  # 9⁻ᵏ / (2k + 1) is below eps from there on
    series = jnp.full_like(w, 1 / (2 * terms - 1))
    for k in reversed(range(terms - 1)):
        series = series * square + 1 / (2 * k + 1)
    return 2 * w * series
