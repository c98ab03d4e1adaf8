"""`measure`: everything about one function, by one call."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from xentjax.timing.contestant import Plain, callable_name
from xentjax.timing.floor import Floor
from xentjax.timing.guards import warn
from xentjax.timing.measurement import Measurement
from xentjax.timing.roofline import Roofline
from xentjax.timing.session import Entry, measured_together


def measure(
    fn: Callable[..., Any] | Plain,
    *args: Any,
    floor: Floor | Roofline | tuple | None = None,
    runs: int = 30,
    warmup: int = 3,
    name: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
    packages: Sequence[str] = (),
    cache_bytes: int | None = None,
) -> Measurement:
    """Times `fn(*args)`: tracing, lowering, compiling and running apart, with memory and a floor.

    Arrays should lie on the device already: a numpy argument is copied at every run, and the
    copy is timed. A function of no arguments may be folded to a constant by XLA.

    Args:
        fn: a function JAX can trace; one already jitted, which is taken with its options (if it
            has run before on these shapes JAX's caches answer, and its stages cost nearly
            nothing; donated arguments cannot be run twice); or `Plain(fn)` for anything else.
        *args: positional arguments of `fn`.
        floor: `Floor(bytes=…, bytes_per_second=…)` or with flops; `Roofline()`, which measures
            the rates of the device beside `fn`, alternating; or `(fn, args)`, a bare operation
            measured in the same way.
        runs: blocked runs that count, at least 1.
        warmup: runs before them that do not.
        name: what the tables call it; the function's own name when left out.
        clock: a clock in seconds.
        packages: further packages whose versions belong in the result.
        cache_bytes: inputs that fit in a cache of this size are copied, and the runs take the
            copies in turn, so that they read from memory; found or assumed when left out, and
            0 leaves the inputs in the cache.

    Returns:
        The measurement: `print(…)`, `.table()`, `.to_json()`, `.write_json(path)`.

    Raises:
        TypeError: `fn` is not callable or not traceable (numpy: use `Plain`), or `floor` is none
            of the kinds above.
        ValueError: `runs` < 1, `warmup` < 0, `cache_bytes` < 0, or `fn` was jitted with static
            arguments.

    Warns:
        TimingWarning: nobody waits for the result, or JAX compiled during timed runs.

    Example:
        >>> import jax.numpy as jnp
        >>> m = measure(lambda x: 2 * x, jnp.ones(256), runs=5)
        >>> m.runs, m.memory.argument_bytes, m.work.bytes, m.work.flops
        (5, 1024, 2048, 0)
    """
    entries = [Entry(name or callable_name(fn), fn, args)]
    held_against: Floor | Roofline | int | None = None
    if isinstance(floor, Floor | Roofline | None):
        held_against = floor
    else:
        entries.append(_bare_operation(floor))
        held_against = 1
    measurement = measured_together(
        entries,
        floor=held_against,
        runs=runs,
        warmup=warmup,
        clock=clock,
        packages=packages,
        cache=cache_bytes,
    )[0]
    warn(measurement.caveats)
    return measurement


def _bare_operation(floor: object) -> Entry:
    match floor:
        case (fn, tuple(args)) if callable(fn) or isinstance(fn, Plain):
            return Entry(callable_name(fn), fn, args)
    raise TypeError(
        f"floor must be Floor(…), Roofline(…) or a bare operation (fn, args), got "
        f"{type(floor).__name__}: write floor=(fn, (x,)) for fn(x)"
    )
