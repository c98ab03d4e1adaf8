"""The device's own rates, measured beside the contestants: a floor that needs no data sheet.

Two probes run in every round like contestants. One reads and writes a buffer larger than any
cache, in place; the other multiplies two square matrices. From their times in a round, and from
the bytes and FLOPs a contestant cannot avoid, follows the least time it could have taken in that
round. When the machine is busy the probes are slow as well, and the ratio stays.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.timing.contestant import Contestant
from xentjax.timing.floor import DeviceRates, FloorRatio
from xentjax.timing.rotation import cache_bytes
from xentjax.timing.spread import Spread
from xentjax.timing.work import Work


@dataclass(frozen=True)
class Roofline:
    """Asks for a floor by the copy bandwidth and the matrix rate of the device, both measured.

    floor = max(bytes / copy bandwidth, flops / matrix rate), round by round

    What is left out is found out. `bytes` and `flops` are then those of each contestant's own
    compiled program: arguments and results once, and the products XLA kept. To hold contestants
    against the same floor, though some compute more than they must, give the figures.

    Args:
        bytes: bytes that must be read and written on each device.
        flops: FLOPs of products that must be done on each device.
        dtype: of the matrices; the narrowest floating dtype among the arguments when left out.
        copy_bytes: size of the buffer; four times the cache when left out.
        matrix_size: rows and columns of the matrices; 1024 on a CPU, 8192 elsewhere.

    Raises:
        ValueError: a figure is negative, or a size is not positive.

    Reference:
        Williams, Waterman and Patterson, Roofline: an insightful visual performance model for
        multicore architectures, 2009.
    """

    bytes: int | float | None = None
    flops: int | float | None = None
    dtype: str | None = None
    copy_bytes: int | None = None
    matrix_size: int | None = None

    def __post_init__(self) -> None:
        for label, least in (("bytes", 0), ("flops", 0), ("copy_bytes", 4), ("matrix_size", 1)):
            figure = getattr(self, label)
            if figure is not None and not figure >= least:
                raise ValueError(f"Roofline: {label} must be at least {least}, got {figure}")

    def probes(self, args: object, devices: Sequence[jax.Device]) -> "Probes":
        """Compiles the two probes for the devices in use.

        Args:
            args: arguments of all contestants, for the dtype.
            devices: each gets a buffer and matrices of its own, and all work at once.

        Returns:
            The probes.
        """
        platform = devices[0].platform
        size = self.matrix_size or (1024 if platform == "cpu" else 8192)
        length = (self.copy_bytes or 4 * cache_bytes(platform)) // 4
        dtype = self.dtype or narrowest_dtype(args)
        # One row, or one product, a device: nothing is sent between them.
        mesh = jax.sharding.Mesh(np.array(devices), ("device",))
        placed = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("device"))
        count = len(devices)
        ones = jnp.ones((count, size, size), dtype, device=placed)
        product = jax.jit(jnp.matmul).lower(ones, ones).compile()
        return Probes(
            copy=Contestant("copy", _in_place(jnp.ones((count, length), device=placed))),
            product=Contestant("product", functools.partial(product, ones, ones)),
            copy_bytes=2 * 4 * length,
            product_flops=2 * size**3,
            dtype=dtype,
        )


@dataclass(frozen=True)
class Probes:
    """A copy and a product of known work, to be run in every round.

    Attributes:
        copy: reads and writes a buffer.
        product: multiplies two matrices.
        copy_bytes: bytes the first moves on each device.
        product_flops: FLOPs of the second on each device.
        dtype: of the matrices.
    """

    copy: Contestant
    product: Contestant
    copy_bytes: int
    product_flops: int
    dtype: str

    def floor_ratio(
        self,
        run_seconds: Sequence[float],
        work: Work,
        copy_seconds: Sequence[float],
        product_seconds: Sequence[float],
    ) -> FloorRatio | None:
        """How far above the floor of its round each run was.

        Args:
            run_seconds: a contestant's runs, by round.
            work: what it cannot avoid.
            copy_seconds: the first probe's runs in the same rounds.
            product_seconds: the second's.

        Returns:
            The ratio; None where the work is not known, or is none.
        """
        if work.flops is None or work.least_bytes is None:
            return None
        moving = [work.least_bytes / self.copy_bytes * seconds for seconds in copy_seconds]
        computing = [work.flops / self.product_flops * seconds for seconds in product_seconds]
        floors = [max(pair) for pair in zip(moving, computing, strict=True)]
        if max(floors) == 0:
            return None
        moves_longer = Spread.of(moving).median >= Spread.of(computing).median
        rates = DeviceRates(
            bytes_per_second=self.copy_bytes / Spread.of(copy_seconds).median,
            flops_per_second=self.product_flops / Spread.of(product_seconds).median,
            dtype=self.dtype,
        )
        bound = "memory" if moves_longer else "arithmetic"
        return FloorRatio.roofline(run_seconds, floors, bound, rates)


def narrowest_dtype(args: object) -> str:
    """The floating dtype with the fewest bits among arrays; "float32" where there is none.

    Products of the narrowest run at the highest rate: a floor must not be too high.

    Example:
        >>> narrowest_dtype((jnp.ones(2), jnp.ones(2, jnp.bfloat16), jnp.arange(3)))
        'bfloat16'
    """
    leaves = [leaf for leaf in jax.tree.leaves(args) if hasattr(leaf, "dtype")]
    dtypes = [leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return min(dtypes, key=lambda dtype: dtype.itemsize).name if dtypes else "float32"


def _in_place(buffer: jax.Array) -> Callable[[], Any]:
    # Donated, so that no run pays for the first touch of new memory: a contestant that returns
    # only a number does not pay for it either, and the floor must hold for that one too.
    step = jax.jit(jnp.negative, donate_argnums=0).lower(buffer).compile()
    held = [buffer]

    def run() -> jax.Array:
        held[0] = step(held[0])
        return held[0]

    return run
