"""The shapes that tests and benchmarks of the fused losses read, by name."""

from typing import NamedTuple


class Case(NamedTuple):
    """N tokens, D hidden, V classes."""

    n: int
    d: int
    v: int

    def __str__(self) -> str:
        return f"{self.n}x{self.d}x{self.v}"


# What two CPU cores can time: a small vocabulary's model, GPT-2's, Llama 3's head on few tokens.
CPU = (Case(2048, 512, 32768), Case(4096, 768, 50257), Case(512, 2048, 128256))

# Where other projects published their figures: QuACK and tokamax, CCE on Gemma 2, Marin, CCE
# against Liger on Qwen.
GPU = (
    Case(4096, 4096, 128256),
    Case(8192, 2304, 256000),
    Case(32768, 2560, 128256),
    Case(16384, 2048, 248320),
)

# For compiling only: what the temporary memory of the optimized program may be.
MEMORY = (
    Case(512, 64, 1000),
    Case(1000, 96, 50257),
    *CPU,
    Case(8192, 1024, 50257),
    Case(16384, 4096, 128256),
)

# With a tile of 8 rows: one row, primes, one tile and one more or less, no row at all, and a
# vocabulary smaller than the tile.
TILE = 8
SIZES = (
    Case(1, 5, 101),
    Case(7, 3, 2),
    Case(8, 5, 37),
    Case(9, 5, 37),
    Case(23, 7, 1),
    Case(40, 16, 127),
    Case(0, 4, 11),
)
