"""One alternating run: contestants are compiled, given cold inputs, timed, and written down."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from xentjax.timing.contestant import Contestant, enlist
from xentjax.timing.environment import Environment, devices_of
from xentjax.timing.floor import Floor, FloorRatio
from xentjax.timing.guards import compiled_caveat, unwaited_caveat
from xentjax.timing.measurement import Measurement
from xentjax.timing.roofline import Probes, Roofline
from xentjax.timing.rotation import cache_bytes, can_rotate, copies_needed
from xentjax.timing.rounds import Runs, check_rounds, time_rounds
from xentjax.timing.work import Work

NOT_COMPILED = (
    "JAX does not compile it, so its work is not known but by the floor's bytes and flops"
)


class Entry(NamedTuple):
    """A contestant as the caller gives it."""

    name: str
    fn: Any
    args: tuple


def measured_together(
    entries: Sequence[Entry],
    *,
    floor: Floor | Roofline | int | None,
    runs: int,
    warmup: int,
    clock: Callable[[], float],
    packages: Sequence[str],
    cache: int | None,
    seed: int = 0,
) -> list[Measurement]:
    """Compiles every contestant, then times all of them in the same rounds.

    Args:
        entries: at least one.
        floor: a computed one, the rates to measure, or the index of the bare operation.
        runs: rounds that count.
        warmup: rounds before them that do not.
        clock: a clock in seconds.
        packages: further packages whose versions belong in the result.
        cache: bytes of the cache that inputs are kept out of; None to find it, 0 not to.
        seed: draws the order within each round.

    Returns:
        One measurement an entry, in order.

    Raises:
        ValueError: `runs` < 1, `warmup` < 0, or `cache` < 0.
    """
    check_rounds(runs, warmup)
    inputs = [entry.args for entry in entries]
    devices = devices_of(inputs)
    copies = _copies(inputs, devices[0].platform, cache, runs + warmup)
    contestants = [
        enlist(entry.name, entry.fn, entry.args, clock, count)
        for entry, count in zip(entries, copies, strict=True)
    ]
    probes = floor.probes(inputs, devices) if isinstance(floor, Roofline) else None
    beside = [probes.copy, probes.product] if probes else []
    seen = time_rounds(
        [*contestants, *beside],
        runs=runs,
        warmup=warmup,
        clock=clock,
        seed=seed,
        devices=[device for device in devices if device.process_index == jax.process_index()],
    )
    own, probed = seen[: len(entries)], seen[len(entries) :]
    environment = Environment.of(inputs, packages)
    works = [_work(contestant, floor) for contestant in contestants]
    return [
        _record(contestant, work, runs_of, ratio, environment)
        for contestant, work, runs_of, ratio in zip(
            contestants,
            works,
            own,
            _floor_ratios(floor, entries, probes, works, own, probed),
            strict=True,
        )
    ]


def _copies(inputs: Sequence[tuple], platform: str, cache: int | None, rounds: int) -> list[int]:
    if cache is not None and cache < 0:
        raise ValueError(f"cache_bytes must be at least 0, got {cache}; 0 leaves inputs in cache")
    size = cache_bytes(platform) if cache is None else cache
    if not can_rotate(inputs):
        return [1 for _ in inputs]
    return [copies_needed(args, size, rounds) for args in inputs]


def _work(contestant: Contestant, floor: Floor | Roofline | int | None) -> Work | None:
    if not isinstance(floor, Floor | Roofline):
        return contestant.work
    return (contestant.work or Work(unknown=(NOT_COMPILED,))).given(floor.flops, floor.bytes)


def _floor_ratios(
    floor: Floor | Roofline | int | None,
    entries: Sequence[Entry],
    probes: Probes | None,
    works: Sequence[Work | None],
    own: Sequence[Runs],
    probed: Sequence[Runs],
) -> list[FloorRatio | None]:
    if floor is None:
        return [None for _ in own]
    if isinstance(floor, Floor):
        return [FloorRatio.computed(runs.seconds, floor) for runs in own]
    if probes is None:
        assert isinstance(floor, int)
        name, bare = entries[floor].name, own[floor].seconds
        return [FloorRatio.measured(runs.seconds, name, bare) for runs in own]
    copy, product = (runs.seconds for runs in probed)
    return [
        probes.floor_ratio(runs.seconds, work or Work(), copy, product)
        for runs, work in zip(own, works, strict=True)
    ]


def _record(
    contestant: Contestant,
    work: Work | None,
    runs: Runs,
    floor: FloorRatio | None,
    environment: Environment,
) -> Measurement:
    return Measurement(
        name=contestant.name,
        run_seconds=runs.seconds,
        compilation=contestant.compilation,
        memory=contestant.memory,
        floor=floor,
        environment=environment,
        work=work,
        peak_bytes=runs.peak_bytes,
        copies=contestant.copies,
        caveats=tuple(_caveats(contestant, runs)),
    )


def _caveats(contestant: Contestant, runs: Runs) -> Iterator[str]:
    if runs.unwaited and contestant.wait is None:
        yield unwaited_caveat(contestant.name, runs.unwaited, contestant.compilation is not None)
    if runs.compiled:
        yield compiled_caveat(contestant.name, runs.compiled, len(runs.seconds))
