"""Sequences of tokens: their log-probability, their labels, and several packed into one row.

A language model predicts token t + 1 from the tokens up to t. What follows from that is here once:
which token is the label of which, and what may see what when rows hold several texts.

A row of `segment_ids` names the text each token belongs to: a segment is a run of equal ids, and 0
is padding. The loss of packed rows is then that of the texts apart, given

* `next_token_labels(tokens, segment_ids)`: no text predicts the first token of the next;
* `segment_mask(segment_ids)`: no token attends to another text;
* `segment_positions(segment_ids)`: each text starts at position 0, for absolute positions (rotary
  ones depend on distances alone and need no such thing).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.log_probabilities import require_probabilities
from xentjax.losses.reduction import at_least_float32, example_mask


class NextTokens(NamedTuple):
    """The labels of a language model; both of the shape of its tokens.

    Attributes:
      labels: the token after each, int32; `ignore_index` where there is none.
      where: whether there is one.
    """

    labels: Int[Array, "..."]
    where: Bool[Array, "..."]


def sequence_log_prob(
    token_log_probs: Num[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None = None,
    normalize: bool = False,
) -> Float[Array, "..."]:
    r"""Log-probability of whole sequences from that of their tokens.

        log p(y) = Σ_t m_t log p(y_t | y_<t),   normalized: divided by Σ_t m_t

    The sum is what DPO and its kin compare. Prefer the average (SimPO, ORPO, ranking of answers)
    where lengths differ and longer must not mean less likely; it is no log-probability of the
    sequence any more.

    Args:
      token_log_probs: nats ≤ 0, floating [*batch, T]: `linear_log_probs(…).log_prob`, or
        `-softmax_cross_entropy(logits, labels)` where there are logits.
      where: boolean, broadcastable to [*batch, T]; False leaves a token out (the prompt, padding),
        whatever it holds. Tokens that `linear_log_probs` left out are 0 there, but only `where`
        keeps them out of the average.
      normalize: whether to divide by the number of tokens that count.

    Returns:
      Nats, [*batch], float32 (float64 for float64). A sequence without tokens has 0.

    Raises:
      TypeError: log-probabilities are not floating point, `where` is not boolean.
      ValueError: shapes do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> tokens = jnp.log(jnp.array([[0.5, 0.25, 0.9]]))
      >>> answer = jnp.array([[True, True, False]])
      >>> print(f"{sequence_log_prob(tokens, where=answer)[0]:.4f}")  # log(0.5 · 0.25)
      -2.0794
      >>> print(f"{sequence_log_prob(tokens, where=answer, normalize=True)[0]:.4f}")  # by 2
      -1.0397

    Reference:
      The average: Y. Meng et al., SimPO: Simple Preference Optimization with a Reference-Free
      Reward, 2024.

    See Also:
      `next_token_labels`; `dpo_loss`, which takes the sums, and `simpo_loss`, which takes averages.
    """
    if isinstance(token_log_probs, tuple | list):
        raise TypeError(
            f"token_log_probs must be one array, got {type(token_log_probs).__name__}; of "
            "linear_log_probs(…) pass .log_prob"
        )
    log_probs = at_least_float32(token_log_probs, "token_log_probs")
    if log_probs.ndim == 0:
        raise ValueError("token_log_probs must have shape [*batch, T], got a scalar")
    keep = example_mask(where, log_probs.shape)
    require_probabilities(log_probs, keep, "token_log_probs")
    if keep is None:
        # The mean of nothing is 0, as under a mask.
        return jnp.sum(log_probs, -1) / (max(1, log_probs.shape[-1]) if normalize else 1)
    total = jnp.sum(jnp.where(keep, log_probs, 0), -1)
    return total / jnp.maximum(1, jnp.sum(keep, -1)) if normalize else total


def next_token_labels(
    tokens: Shaped[ArrayLike, "..."],
    segment_ids: Shaped[ArrayLike, "..."] | None = None,
    *,
    ignore_index: int = -100,
) -> NextTokens:
    """The token after each token: labels for `softmax_cross_entropy` and its kin.

    The last token of a row, the last of a segment and padding predict nothing. Windows cut out of
    one long text need no such loss of a token: `TokenWindows` reads the label beyond the window.

    Args:
      tokens: integers [*batch, T].
      segment_ids: integers of the same shape: a run of equal ids is one text, 0 is padding. None
        means that each row is one text.
      ignore_index: the label where there is no next token, so that `ignore_index` of a loss does
        as well as `where`.

    Returns:
      `labels` and `where`, [*batch, T].

    Raises:
      TypeError: tokens or ids are not integers.
      ValueError: their shapes differ, or a number does not fit 32 bits (without 64-bit mode).

    Example:
      >>> import jax.numpy as jnp
      >>> found = next_token_labels(jnp.array([5, 6, 7, 8, 9]), jnp.array([1, 1, 1, 2, 2]))
      >>> print(found.labels, found.where)
      [   6    7 -100    9 -100] [ True  True False  True False]

    Reference:
      Packing: M. Krell et al., Efficient Sequence Packing without Cross-contamination, 2021.

    See Also:
      `segment_mask`, without which a text sees the ones before it in its row.
    """
    tokens = _rows(tokens, "tokens")
    has_next = _index_in_row(tokens) < tokens.shape[-1] - 1
    if segment_ids is not None:
        ids = _rows(segment_ids, "segment_ids")
        inputs.require_same_shape(ids, tokens, "segment_ids", "tokens")
        has_next &= (ids == jnp.roll(ids, -1, -1)) & (ids != 0)
    following = jnp.roll(inputs.narrow_indices(tokens, None, None)[0], -1, -1)
    ignored = inputs.ignored_label(ignore_index)
    if ignored is None:
        raise TypeError("ignore_index must be an integer, got None")
    return NextTokens(jnp.where(has_next, following, ignored), has_next)


def segment_positions(segment_ids: Shaped[ArrayLike, "..."]) -> Int[Array, "..."]:
    """The position of each token within its own text, from 0.

    For learned or sinusoidal positions of packed rows, so that a text gets those it would have
    alone. Rotary positions depend on distances and need no restart.

    Args:
      segment_ids: integers [*batch, T]; a run of equal ids is one text.

    Returns:
      int32 [*batch, T].

    Raises:
      TypeError: ids are not integers.
      ValueError: ids are a scalar, or one does not fit 32 bits (without 64-bit mode).

    Example:
      >>> import jax.numpy as jnp
      >>> print(segment_positions(jnp.array([1, 1, 1, 2, 2, 0])))
      [0 1 2 0 1 0]

    See Also:
      `segment_mask`, `next_token_labels`.
    """
    ids = _rows(segment_ids, "segment_ids")
    index = _index_in_row(ids)
    return index - lax.cummax(jnp.where(_begins(ids), index, 0), axis=ids.ndim - 1)


def segment_mask(segment_ids: Shaped[ArrayLike, "..."]) -> Bool[Array, "..."]:
    """What each token may attend to: itself and those before it in its own text.

    Give it to attention in place of a causal mask, with an axis for the heads:
    `jax.nn.dot_product_attention(query, key, value, mask=segment_mask(ids)[:, None])`. Padding
    sees padding, so that no row of a softmax is empty. T² booleans a row; for long rows prefer
    an attention kernel that takes the ids themselves.

    Args:
      segment_ids: integers [*batch, T]; a run of equal ids is one text.

    Returns:
      boolean [*batch, T, T], True where the token of the first T may see that of the second.

    Raises:
      TypeError: ids are not integers.
      ValueError: ids are a scalar, or one does not fit 32 bits (without 64-bit mode).

    Example:
      >>> import jax.numpy as jnp
      >>> print(segment_mask(jnp.array([1, 1, 2])).astype(int))
      [[1 0 0]
       [1 1 0]
       [0 0 1]]

    Reference:
      M. Krell et al., Efficient Sequence Packing without Cross-contamination, 2021.

    See Also:
      `segment_positions`, `next_token_labels`.
    """
    ids = _rows(segment_ids, "segment_ids")
    # Runs are numbered, so that an id used again is another text, here as in the labels.
    run = jnp.cumsum(_begins(ids), axis=-1, dtype=jnp.int32)
    index = _index_in_row(ids)
    same_text = run[..., :, None] == run[..., None, :]
    return same_text & (index[..., :, None] >= index[..., None, :])


def _begins(ids: Array) -> Array:
    """Whether a token is the first of its text."""
    return (ids != jnp.roll(ids, 1, -1)) | (_index_in_row(ids) == 0)


def _index_in_row(x: Array) -> Array:
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)


def _rows(x: ArrayLike, name: str) -> Array:
    """Integers [*batch, T], none of which became another on the way."""
    x = inputs.identifiers(x, name)
    if x.ndim == 0:
        raise ValueError(f"{name} must have shape [*batch, T], got a scalar")
    return x
