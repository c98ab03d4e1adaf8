import platform
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.timing.environment import Environment


def test_environment_names_machine_and_versions():
    environment = Environment.of(())
    assert environment.device_platform == "cpu"
    assert environment.device_kind == jax.devices()[0].device_kind
    assert environment.cpu_count >= 1
    assert environment.versions == {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": metadata.version("jaxlib"),
        "numpy": np.__version__,
    }


def test_devices_are_those_that_hold_the_arguments():
    mesh = jax.make_mesh((4,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    arguments = {"weight": jax.device_put(jnp.ones(8), sharding), "scale": 2.0}
    assert Environment.of(arguments).device_count == 4
    assert Environment.of({"scale": 2.0}).device_count == 1


def test_packages_asked_for_are_named_and_missing_ones_left_out():
    versions = Environment.of((), packages=("optax", "no-such-package-here")).versions
    assert versions["optax"] == metadata.version("optax")
    assert "no-such-package-here" not in versions
