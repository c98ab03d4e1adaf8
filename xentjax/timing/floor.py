"""A floor: the least time the work could take, so that a run time says how much is left to win.

Three kinds. `Floor` computes it from bytes or FLOP and a rate the caller trusts (a data sheet, a
measurement). A bare operation, `(fn, args)`, measures it: what a copy of the same array costs
on this machine, in this minute. `Roofline` (its own file) measures the rates of the device and
knows the work. The last two need no data sheet and share the noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xentjax.timing.spread import Spread, paired_ratio

Number = int | float


@dataclass(frozen=True)
class Floor:
    """Bytes moved and floating-point operations done, with the rates of the machine.

    seconds = max(bytes / bytes_per_second, flops / flops_per_second)

    Args:
        bytes: bytes that must be read and written.
        bytes_per_second: memory bandwidth.
        flops: floating-point operations that must be done.
        flops_per_second: arithmetic rate at the dtype in use.

    Raises:
        ValueError: neither pair is given, a pair is half given, or a figure is not positive.

    Example:
        >>> Floor(bytes=8e9, bytes_per_second=4e9, flops=1e12, flops_per_second=1e12).seconds
        2.0
    """

    bytes: Number | None = None
    bytes_per_second: Number | None = None
    flops: Number | None = None
    flops_per_second: Number | None = None

    def __post_init__(self) -> None:
        if self.bytes is None and self.flops is None:
            raise ValueError(
                "Floor got neither bytes nor flops: name the work, such as "
                "Floor(bytes=…, bytes_per_second=…)"
            )
        _check_pair("bytes", self.bytes, self.bytes_per_second)
        _check_pair("flops", self.flops, self.flops_per_second)

    @property
    def seconds(self) -> float:
        """The longer of the two: memory and arithmetic can overlap at best."""
        return max(self._seconds_by_bound().values())

    @property
    def bound(self) -> str:
        """What takes longer, "memory" or "arithmetic"."""
        seconds = self._seconds_by_bound()
        return max(seconds, key=seconds.__getitem__)

    def _seconds_by_bound(self) -> dict[str, float]:
        pairs = {
            "memory": (self.bytes, self.bytes_per_second),
            "arithmetic": (self.flops, self.flops_per_second),
        }
        return {name: float(work / rate) for name, (work, rate) in pairs.items() if work and rate}


@dataclass(frozen=True)
class DeviceRates:
    """Rates of each device, medians over the rounds.

    Attributes:
        bytes_per_second: of a pass that reads and writes a buffer larger than the cache.
        flops_per_second: of a product of square matrices.
        dtype: of these matrices.
    """

    bytes_per_second: float
    flops_per_second: float
    dtype: str


@dataclass(frozen=True)
class FloorRatio:
    """How far above its floor a function runs.

    Attributes:
        name: what the floor is.
        seconds: the computed floor, or the median of the measured one.
        ratio: run time over floor, paired by round where the floor was measured.
        bound: "memory" or "arithmetic", whichever takes longer; None for a bare operation.
        rates: of the device, where a `Roofline` measured them.
    """

    name: str
    seconds: float
    ratio: Spread
    bound: str | None = None
    rates: DeviceRates | None = None

    @property
    def is_beaten(self) -> bool:
        """Whether a function runs faster than a floor that says nothing can.

        By two standard errors of the median. A bare operation promises no such thing.
        """
        surely = self.ratio.median + 2 * self.ratio.median_error
        return self.bound is not None and surely < 1

    @classmethod
    def computed(cls, run_seconds: Sequence[float], floor: Floor) -> "FloorRatio":
        """Ratio to a floor that is a number."""
        floor_seconds = floor.seconds
        ratio = Spread.of([seconds / floor_seconds for seconds in run_seconds])
        return cls("floor", floor_seconds, ratio, bound=floor.bound)

    @classmethod
    def measured(
        cls, run_seconds: Sequence[float], name: str, bare_seconds: Sequence[float]
    ) -> "FloorRatio":
        """Ratio to a bare operation that ran in the same rounds."""
        ratio = paired_ratio(run_seconds, bare_seconds)
        return cls(name, Spread.of(bare_seconds).median, ratio)

    @classmethod
    def roofline(
        cls,
        run_seconds: Sequence[float],
        floor_seconds: Sequence[float],
        bound: str,
        rates: DeviceRates,
    ) -> "FloorRatio":
        """Ratio to the least time by rates that were measured in the same rounds."""
        ratio = paired_ratio(run_seconds, floor_seconds)
        return cls("roofline", Spread.of(floor_seconds).median, ratio, bound, rates)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "FloorRatio":
        """The ratio whose fields `dataclasses.asdict` gave."""
        rates = fields.get("rates")
        return cls(
            name=fields["name"],
            seconds=fields["seconds"],
            ratio=Spread(**fields["ratio"]),
            bound=fields.get("bound"),
            rates=rates and DeviceRates(**rates),
        )


def _check_pair(name: str, work: Number | None, rate: Number | None) -> None:
    if (work is None) != (rate is None):
        missing = f"{name}_per_second" if rate is None else name
        raise ValueError(f"Floor got {name}={work}, {name}_per_second={rate}: {missing} is missing")
    for label, figure in ((name, work), (f"{name}_per_second", rate)):
        if figure is not None and not (figure > 0 and math.isfinite(figure)):
            raise ValueError(f"Floor: {label} must be positive and finite, got {figure}")
