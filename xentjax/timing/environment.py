"""Where a figure was taken: a time without its machine and versions cannot be checked."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

import jax


@dataclass(frozen=True)
class Environment:
    """The device that ran, the host around it, and the versions in use.

    Attributes:
        device_kind: JAX's name of the device, such as "cpu" or "NVIDIA H100".
        device_platform: "cpu", "gpu" or "tpu".
        device_count: how many devices held the arguments.
        os_platform: operating system and machine.
        cpu_count: logical processors this process may use.
        versions: package name → version; "python" is among them.
    """

    device_kind: str
    device_platform: str
    device_count: int
    os_platform: str
    cpu_count: int
    versions: dict[str, str]

    @classmethod
    def of(cls, arguments: object, packages: Sequence[str] = ()) -> "Environment":
        """Describes the machine and the devices that hold `arguments`.

        Args:
            arguments: a pytree; its JAX arrays name the devices. Without any, the default device.
            packages: further packages whose versions matter; one not installed is left out.

        Returns:
            The environment.
        """
        devices = devices_of(arguments)
        return cls(
            device_kind=devices[0].device_kind,
            device_platform=devices[0].platform,
            device_count=len(devices),
            os_platform=f"{platform.system()} {platform.machine()}",
            cpu_count=_usable_cpus(),
            versions=_versions(("jax", "jaxlib", "numpy", *packages)),
        )

    def __str__(self) -> str:
        count = f"{self.device_count} × " if self.device_count > 1 else ""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{count}{self.device_kind} ({self.device_platform}), {self.cpu_count} CPUs, "
            f"{self.os_platform}; {versions}"
        )


def devices_of(arguments: object) -> list[jax.Device]:
    """Devices that hold the JAX arrays of a pytree, by id; the default one where it has none."""
    arrays = [leaf for leaf in jax.tree.leaves(arguments) if isinstance(leaf, jax.Array)]
    devices = {device for array in arrays for device in array.devices()}
    return sorted(devices, key=lambda device: device.id) or [jax.devices()[0]]


def _usable_cpus() -> int:
    # A container or `taskset` grants fewer processors than the machine has; macOS cannot say.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
