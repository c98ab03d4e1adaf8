"""How large a tile to take, and what it will cost, before anything runs.

A tile holds R rows of scores against the whole vocabulary. More rows mean fewer passes over the
weight and its gradient; fewer rows mean less memory. Rates stop growing at some hundreds of rows
on a CPU and some thousands on a GPU.
"""

import math
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
        gradients of a bias or class weights hold further tiles: up to as much again.
      flops: multiplications and additions of the three matrix products, 6·N·D·V.
    """

    tile: int
    tiles: int
    block: int
    temp_bytes: int
    flops: int


# Rows up to which the rate of a product grows (bench/linear.py), by platform.
_ROWS = {"cpu": 448, "gpu": 4096, "tpu": 2048}
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
    platform: str | None = None,
) -> Plan:
    r"""The tiles `linear_cross_entropy` takes for N tokens, D hidden and V classes.

    Args:
      n: tokens N, all batch dimensions together; on one device.
      d: hidden size D.
      v: vocabulary V; of one device, where devices share it.
      dtype: dtype of hidden states and weight.
      memory_budget: bytes beyond arguments and results; None takes what runs at full rate.
      platform: "cpu", "gpu" or "tpu"; None for the default backend.

    Returns:
      A `Plan`. Pass it, or its `tile`, as `tile=`.

    Raises:
      ValueError: a size is negative, D or V is 0, or no tile fits the budget.

    Example:
      >>> p = plan(2048, 512, 32768, platform="cpu")
      >>> p.tile, p.tiles, p.flops == 6 * 2048 * 512 * 32768
      (410, 5, True)

    See Also:
      `linear_cross_entropy`.
    """
    if n < 0 or d < 1 or v < 1:
        raise ValueError(f"plan needs n >= 0, d >= 1 and v >= 1, got n={n}, d={d}, v={v}")
    platform = platform or jax.default_backend()
    rows = min(max(n, 1), _ROWS.get(platform, _ROWS["gpu"]))
    free = planned(n, d, v, dtype, rows, platform)
    if memory_budget is not None:
        return _within(memory_budget, n, d, v, dtype, free, platform)
    padding = free.temp_bytes - _temp_bytes(free.tiles * free.tile, d, v, dtype, *free[:3])
    if padding > free.temp_bytes // 4:
        # Fewer rows that divide N, if not many fewer, save the padded copy of hidden states.
        for tiles in range(free.tiles + 1, 2 * free.tiles + 1):
            if n % tiles == 0:
                return planned(n, d, v, dtype, n // tiles, platform)
    return free


def planned(n: int, d: int, v: int, dtype: Any, rows: int, platform: str) -> Plan:
    """The plan with tiles of at most `rows` rows."""
    tiles = max(1, math.ceil(n / rows))
    rows = max(1, math.ceil(n / tiles))
    block = _BLOCK.get(platform, 0)
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
    if tiles * rows != n:
        held += 2 * tiles * rows * d * item  # hidden states and their gradient, padded
    return held + 64 * (tiles * rows) + 2**20  # row vectors; constants and small buffers


def _within(budget, n, d, v, dtype, free, platform) -> Plan:
    """The plan of most rows that fits the budget.

    All sizes in turn: bytes do not simply grow with rows, as tiles that do not divide N are padded.
    """
    found = least = free
    while found.temp_bytes > budget and found.tile > 1:
        # The next size that takes one more tile.
        found = planned(n, d, v, dtype, found.tile - 1, platform)
        least = min(least, found, key=lambda p: p.temp_bytes)
    if found.temp_bytes <= budget:
        return found
    raise ValueError(
        f"memory_budget={budget} is too small: the least, {least.tile} rows at a time, needs "
        f"{least.temp_bytes} bytes"
    )
