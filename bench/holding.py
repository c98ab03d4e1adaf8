"""Holds the contests of one bench in this process and makes the record of them."""

import os
import time
from collections.abc import Container, Sequence
from importlib import metadata
from typing import Any

import jax
from rich.console import Console

from bench.catalogue import Bench
from bench.contest import Contest
from bench.effort import Effort
from bench.heat import Heat
from bench.lineup import CannotRunError, DisagreementError
from bench.record import Record
from xentjax.timing import Environment


def set_up(bench: Bench) -> None:
    """Devices of this process; to be called before JAX looks for any."""
    if bench.devices is not None:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", bench.devices)
    else:
        # torch's allocator shares the device: JAX must not take three quarters of it at its start.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def held(bench: Bench, effort: Effort, console: Console, only: Sequence[str] = ()) -> Record:
    """Measures the rows of a bench, one after the other.

    Args:
        bench: which.
        effort: how thoroughly.
        console: where the progress goes.
        only: parts of row names; the rows that hold one of them, all when empty.

    Returns:
        The record.

    Raises:
        ValueError: no row's name holds any of `only`.
    """
    began, settings = time.perf_counter(), _load()
    heats = [heat for heat in bench.heats(effort) if _wanted(heat, only)]
    if not heats:
        raise ValueError(f"no row of {bench.name!r} has a name with any of {', '.join(only)}")
    contests: list[Contest] = []
    failed: dict[str, str] = {}
    for heat in heats:
        try:
            contests.append(_held(heat, effort, console))
        except (
            DisagreementError,
            CannotRunError,
        ) as error:  # the other rows are still worth having
            failed[heat.key] = str(error)
            console.print(f"  not timed: {error}", style="bold red", highlight=False, markup=False)
    peers = absent(bench.peers)
    return Record(
        bench=bench.name,
        environment=_environment(bench),
        full=effort.full,
        seconds=time.perf_counter() - began,
        contests=tuple(contests),
        absent=peers,
        failed=failed,
        settings=settings | _torch_settings(bench, peers),
    )


def absent(packages: Sequence[str]) -> dict[str, str]:
    """The packages that are not installed."""
    missing = {}
    for package in packages:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            missing[package] = "not installed"
    return missing


def _held(heat: Heat, effort: Effort, console: Console) -> Contest:
    # A line, not a live display: its refreshing thread would compete for the cores.
    console.print(f"[dim]{heat.key} …[/dim]", highlight=False)
    contest = heat.hold(heat, effort)
    for name, why in contest.left_out.items():
        console.print(f"  {name}: left out: {why}", highlight=False, markup=False)
    return contest


def _wanted(heat: Heat, only: Sequence[str]) -> bool:
    return not only or any(part in heat.key for part in only)


def _environment(bench: Bench) -> Environment:
    on_each = [jax.device_put(0.0, device) for device in jax.devices()]
    return Environment.of(on_each, packages=tuple(dict.fromkeys(bench.packages + bench.peers)))


def _load() -> dict[str, Any]:
    """How busy the machine was with other things, where the system can say."""
    return {"load before": round(os.getloadavg()[0], 1)} if hasattr(os, "getloadavg") else {}


def _torch_settings(bench: Bench, missing: Container[str]) -> dict[str, Any]:
    if "torch" in missing or "torch" not in bench.peers:
        return {}
    import torch  # pyright: ignore[reportMissingImports] (an extra, asked for by `absent`)

    return {"torch threads": torch.get_num_threads()}
