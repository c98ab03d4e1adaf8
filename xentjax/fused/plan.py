"""How large a tile to take, and what it will cost, before anything runs.

A tile holds R rows of scores against the whole vocabulary. More rows mean fewer passes over the
weight and its gradient; fewer rows mean less memory. Rates stop growing at some hundreds of rows
on a CPU and some thousands on a GPU.
"""

import math
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Plan(NamedTuple):
    """Tiles of a fused loss and their price.

    Attributes:
      tile: rows in a tile.
      tiles: how many tiles.
      block: columns of d weight updated at a time; 0 for all at once.
      temp_bytes: an upper bound on the memory beyond arguments and results, for the value and
        the gradients of hidden states and weight. Label smoothing, a soft cap, a logit scale and
        gradients of a bias or class weights hold further tiles: two and a half times as much
        for all of them together. `linear_log_probs` and `linear_kl_divergence` hold two to three
        times as much, and so do second derivatives: give them a plan of a smaller budget.
      flops: multiplications and additions of the three matrix products, 6·N·D·V.
    """

    tile: int
    tiles: int
    block: int
    temp_bytes: int
    flops: int


# Rows up to which the rate of a product grows (bench/linear.py), by platform.
_ROWS = {"cpu": 448, "gpu": 4096, "tpu": 2048}
# With a small vocabulary a tile has as many rows as make this many scores: often all of them.
_SCORES = 2**22
# Columns of d weight a CPU updates at a time; others take one product and add it.
_BLOCK = {"cpu": 1024}
# Arrays of one tile that live at once: the scores, and their exponentials or slopes.
_TILES_HELD = 2


def plan(
    n: int,
    d: int,
    v: int,
    dtype: Any = jnp.float32,
    *,
    memory_budget: int | None = None,
    per_token: bool = False,
    platform: str | None = None,
) -> Plan:
    r"""The tiles `linear_cross_entropy` takes for N tokens, D hidden and V classes.

    Args:
      n: tokens N, all batch dimensions together; on one device.
      d: hidden size D.
      v: vocabulary V; of one device, where devices share it.
      dtype: dtype of hidden states and weight. A 16-bit weight beside float32 hidden states is
        widened, and its gradient added up in float32: 8·D·V bytes more.
      memory_budget: bytes beyond arguments and results; None takes what runs at full rate.
      per_token: for reduction="none": all rows in one tile, unless a budget forbids it. What that
        tile's losses leave behind is kept for the gradients, three matrix products in place of
        the four of several tiles.
      platform: "cpu", "gpu" or "tpu"; None for the default backend.

    Returns:
      A `Plan`. Pass it as `tile=`: a program exported for another platform then has its tiles.

    Raises:
      TypeError: a size is not an integer.
      ValueError: a size is negative, D or V is 0, the platform is unknown, or no tile fits the
        budget.

    Example:
      >>> p = plan(2048, 512, 32768, platform="cpu")
      >>> p.tile, p.tiles, p.flops == 6 * 2048 * 512 * 32768
      (410, 5, True)

    See Also:
      `linear_cross_entropy`.
    """
    try:
        n, d, v = operator.index(n), operator.index(d), operator.index(v)
    except TypeError:
        raise TypeError(f"plan needs integers, got n={n!r}, d={d!r}, v={v!r}") from None
    if n < 0 or d < 1 or v < 1:
        raise ValueError(f"plan needs n >= 0, d >= 1 and v >= 1, got n={n}, d={d}, v={v}")
    if platform not in (None, *_ROWS):
        raise ValueError(f"platform must be one of {tuple(_ROWS)}, got {platform!r}")
    most = _ROWS.get(platform or jax.default_backend(), _ROWS["gpu"])
    rows = min(max(n, 1), max(most, _SCORES // v))
    free = planned(n, d, v, dtype, rows, usual_block(platform))
    if per_token:
        one = planned(n, d, v, dtype, max(n, 1), free.block)
        if memory_budget is None or one.temp_bytes <= memory_budget:
            return one
    if memory_budget is not None:
        return _within(memory_budget, n, d, v, dtype, free)
    if _padding_bytes(n, d, dtype, free.tile, free.tiles) > free.temp_bytes // 4:
        # Fewer rows that divide N, if not many fewer, save the padded copy of hidden states.
        for tiles in range(free.tiles + 1, 2 * free.tiles + 1):
            if n % tiles == 0:
                return planned(n, d, v, dtype, n // tiles, free.block)
    return free


def usual_block(platform: str | None = None) -> int:
    """Columns of d weight updated at a time on this platform."""
    return _BLOCK.get(platform or jax.default_backend(), 0)


def planned(n: int, d: int, v: int, dtype: Any, rows: int, block: int) -> Plan:
    """The plan with tiles of at most `rows` rows."""
    tiles = max(1, math.ceil(n / rows))
    rows = max(1, math.ceil(n / tiles))
    return Plan(rows, tiles, block, _temp_bytes(n, d, v, dtype, rows, tiles, block), 6 * n * d * v)


def _temp_bytes(n, d, v, dtype, rows, tiles, block) -> int:
    """Two tiles of scores, a block of d weight, and what a 16-bit model needs beside."""
    item = jnp.dtype(dtype).itemsize
    sums = max(4, item)
    block = min(block, v) if block else v
    held = _TILES_HELD * rows * v * sums + (rows * v * item if item < 4 else 0)
    held += 2 * (d + rows) * block * sums
    if item < 4:
        held += d * v * sums  # d weight is added up in float32
    held += _padding_bytes(n, d, dtype, rows, tiles)
    return held + 64 * (tiles * rows) + 2**20  # row vectors; constants and small buffers


def _padding_bytes(n, d, dtype, rows, tiles) -> int:
    """Hidden states and their gradient, padded where the tiles do not divide N."""
    return 0 if tiles * rows == n else 2 * tiles * rows * d * jnp.dtype(dtype).itemsize


def _within(budget, n, d, v, dtype, free) -> Plan:
    """The plan of most rows that fits the budget.

    All sizes in turn: bytes do not simply grow with rows, as tiles that do not divide N are padded.
    """
    found = least = free
    while found.temp_bytes > budget and found.tile > 1:
        # The next size that takes one more tile.
        found = planned(n, d, v, dtype, found.tile - 1, free.block)
        least = min(least, found, key=lambda p: p.temp_bytes)
    if found.temp_bytes <= budget:
        return found
    raise ValueError(
        f"memory_budget={budget} is too small: the least, {least.tile} rows at a time, needs "
        f"{least.temp_bytes} bytes"
    )
