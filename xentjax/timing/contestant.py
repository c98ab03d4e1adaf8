"""One function made ready to be timed: compiled ahead of time, its memory read, its args bound.

The three stages before a first run are timed apart, because they are cured apart: tracing is
Python, lowering is JAX, compiling is XLA. What is timed afterwards is the compiled program
itself, so no run can hide a compilation.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from xentjax.timing.rotation import rotating
from xentjax.timing.work import Work

# What a tracer raises where numpy, float(), `if` or an index ask for its values.
_LOOKS_AT_VALUES = (
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.ConcretizationTypeError,
)


@dataclass(frozen=True)
class Compilation:
    """Seconds spent before the first run, stage by stage."""

    trace_seconds: float
    lower_seconds: float
    compile_seconds: float

    @property
    def seconds(self) -> float:
        """The three stages together."""
        return self.trace_seconds + self.lower_seconds + self.compile_seconds


@dataclass(frozen=True)
class Memory:
    """Bytes the compiled program asks for on each device, as XLA planned them."""

    temp_bytes: int
    argument_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class Plain:
    """A callable JAX cannot trace (torch, numpy, a subprocess): timed as it is, never compiled.

    JAX arrays in its result are waited for. Work that another library leaves in flight is not
    known to JAX: give `wait` (such as `torch.cuda.synchronize`), called within the timed run.
    """

    fn: Callable[..., Any]
    wait: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Contestant:
    """A callable of no arguments with what is known about it before it runs.

    Attributes:
        name: what the tables call it.
        run: one run.
        wait: waits for what JAX does not know of.
        compilation: stages before the first run, if it was compiled here.
        memory: bytes planned by XLA.
        work: what one run of the compiled program does.
        copies: sets of inputs that the runs take in turn.
    """

    name: str
    run: Callable[[], Any]
    wait: Callable[[], Any] | None = None
    compilation: Compilation | None = None
    memory: Memory | None = None
    work: Work | None = None
    copies: int = 1

    def blocked_run(self, clock: Callable[[], float]) -> tuple[float, Any]:
        """Seconds of one run, until its results are there, and these."""
        start = clock()
        result = self.run()
        jax.block_until_ready(result)
        if self.wait is not None:
            self.wait()
        # `result` dies after the clock is read: freeing it is not part of the run.
        return clock() - start, result


def enlist(
    name: str, fn: Any, args: tuple, clock: Callable[[], float], copies: int = 1
) -> Contestant:
    """Compiles `fn` for `args` under the clock, or takes a `Plain` callable as it is.

    Args:
        name: what the tables call it.
        fn: a function JAX can trace, one already jitted, or `Plain`.
        args: its positional arguments.
        clock: a clock in seconds.
        copies: sets of inputs that the runs take in turn, `args` among them.

    Returns:
        The contestant, ready to run.

    Raises:
        TypeError: `fn` is not callable, or looks at values as JAX traces it.
        ValueError: `fn` was jitted with static arguments.
    """
    if isinstance(fn, Plain):
        return Contestant(name, rotating(fn.fn, args, copies), wait=fn.wait, copies=copies)
    if not callable(fn):
        raise TypeError(
            f"contestant {name!r}: got {type(fn).__name__}, wanted a function; write (fn, args) "
            "without calling fn"
        )
    jitted: Any = fn if hasattr(fn, "trace") else jax.jit(_renewed(fn))
    try:
        compiled, compilation = _compile(jitted, args, clock)
    except _LOOKS_AT_VALUES as error:
        raise TypeError(
            f"contestant {name!r} cannot be traced by JAX: it turns an array into Python or numpy "
            f"values ({type(error).__name__}); wrap it in Plain(fn) to time it uncompiled"
        ) from error
    _refuse_static_arguments(name, compiled, args)
    return Contestant(
        name,
        rotating(compiled, args, copies),
        compilation=compilation,
        memory=_memory(compiled),
        work=Work.of(compiled),
        copies=copies,
    )


def _renewed(fn: Callable[..., Any]) -> Callable[..., Any]:
    # JAX caches traces and programs by function identity, across separate jax.jit calls: without
    # a new identity a second measurement would report the look-up (10 µs) as the compile time.
    def renewed(*args: Any) -> Any:
        return fn(*args)

    renewed.__name__ = callable_name(fn)
    return renewed


def callable_name(fn: object) -> str:
    """The name a reader knows `fn` by, seen through `Plain` and `functools.partial`."""
    while isinstance(fn, Plain | functools.partial):
        fn = fn.fn if isinstance(fn, Plain) else fn.func
    return getattr(fn, "__name__", type(fn).__name__)


def _compile(jitted: Any, args: tuple, clock: Callable[[], float]) -> tuple[Any, Compilation]:
    start = clock()
    traced = jitted.trace(*args)
    trace_end = clock()
    lowered = traced.lower()
    lower_end = clock()
    compiled = lowered.compile()
    compile_end = clock()
    return compiled, Compilation(
        trace_seconds=trace_end - start,
        lower_seconds=lower_end - trace_end,
        compile_seconds=compile_end - lower_end,
    )


def _refuse_static_arguments(name: str, compiled: Any, args: tuple) -> None:
    if compiled.in_tree != jax.tree.structure((args, {})):
        raise ValueError(
            f"contestant {name!r} takes {len(args)} arguments but compiles to a program of "
            f"{compiled.in_tree.children()[0].num_leaves} arrays: it was jitted with static "
            "arguments; bind those with functools.partial before jax.jit and pass only arrays"
        )


def _memory(compiled: Any) -> Memory | None:
    stats = compiled.memory_analysis()
    if stats is None:  # some backends keep no account
        return None
    return Memory(
        temp_bytes=int(stats.temp_size_in_bytes),
        argument_bytes=int(stats.argument_size_in_bytes),
        output_bytes=int(stats.output_size_in_bytes),
    )
