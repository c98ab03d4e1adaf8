"""The instrument: compile time, run time, memory and a floor, honestly separated.

    from xentjax.timing import Roofline, compare
    result = compare({"ours": (f, (x,)), "theirs": (g, (x,))}, floor=Roofline())
    print(result)

`measure` describes one function; `compare` puts several side by side in one alternating run,
and its result is a ratio with an interval and a verdict. Prefer `compare` whenever the claim is
"faster than": on a machine that others use, two runs made minutes apart differ by more than most
improvements, while two runs made in the same round share their noise.

How near a function is to what the device can do is told by a floor: `Roofline()` measures the
device's rates on the spot, `Floor` takes them from a data sheet, a bare operation stands for
itself. `Work.of` counts FLOPs and bytes of a compiled program, every round of its loops included.
"""

from xentjax.timing.comparison import Comparison, compare
from xentjax.timing.contestant import Compilation, Memory, Plain
from xentjax.timing.environment import Environment
from xentjax.timing.floor import DeviceRates, Floor, FloorRatio
from xentjax.timing.guards import TimingWarning
from xentjax.timing.interval import Interval, median_interval
from xentjax.timing.measurement import Measurement
from xentjax.timing.measuring import measure
from xentjax.timing.roofline import Roofline
from xentjax.timing.spread import Spread
from xentjax.timing.work import Work

__all__ = [
    "Comparison",
    "Compilation",
    "DeviceRates",
    "Environment",
    "Floor",
    "FloorRatio",
    "Interval",
    "Measurement",
    "Memory",
    "Plain",
    "Roofline",
    "Spread",
    "TimingWarning",
    "Work",
    "compare",
    "measure",
    "median_interval",
]
