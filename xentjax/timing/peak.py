"""Peak device memory of one run, where the backend keeps an account of it.

The account is the process's high-water mark: it never falls. A run that does not raise it was
lower than something before, and how low nobody knows; its peak is then unmeasured. To measure a
small contestant after a large one, give it a process of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MemoryMark:
    """Bytes in use on each device, and the most that ever were; None where nobody counts."""

    in_use: tuple[int, ...] | None
    peak: tuple[int, ...] | None

    @classmethod
    def now(cls, devices: Sequence[Any]) -> "MemoryMark":
        """Reads the account of every device."""
        accounts = [device.memory_stats() or {} for device in devices]
        needed = ("bytes_in_use", "peak_bytes_in_use")
        if not all(key in account for account in accounts for key in needed):
            return cls(None, None)
        in_use, peak = (tuple(account[key] for account in accounts) for key in needed)
        return cls(in_use, peak)

    def peak_until(self, later: "MemoryMark") -> int | None:
        """The most bytes that came on top of those in use here, on the fullest device.

        Returns:
            Bytes; None where nobody counts, or where no device rose above its earlier peak.
        """
        if self.in_use is None or self.peak is None or later.peak is None:
            return None
        rises = [
            after - used
            for used, before, after in zip(self.in_use, self.peak, later.peak, strict=True)
            if after > before
        ]
        return max(rises, default=None)
