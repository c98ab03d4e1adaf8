"""The instrument: compile time, run time, memory and a floor, honestly separated.

`measure` describes one function; `compare` puts several side by side in one alternating run,
and its result is a ratio. Prefer `compare` whenever the claim is "faster than": on a machine
that others use, two runs made minutes apart differ by more than most improvements, while two
runs made in the same round share their noise.
"""

from xentjax.timing.comparison import Comparison, compare
from xentjax.timing.contestant import Compilation, Memory, Plain
from xentjax.timing.environment import Environment
from xentjax.timing.floor import Floor, FloorRatio
from xentjax.timing.measurement import Measurement, measure
from xentjax.timing.spread import Spread

__all__ = [
    "Comparison",
    "Compilation",
    "Environment",
    "Floor",
    "FloorRatio",
    "Measurement",
    "Memory",
    "Plain",
    "Spread",
    "compare",
    "measure",
]
