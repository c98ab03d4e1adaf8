"""What is restored is what was saved, to the bit, or it is named as damaged."""

import dataclasses
import errno
import json
import os
import resource
import shutil
import subprocess
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from xentjax.models import MLP, MLPConfig
from xentjax.train import TrainState, from_apply
from xentjax.train.checkpoint import Checkpoints
from xentjax.train.damage import (
    CheckpointWriteError,
    CorruptCheckpointError,
    CorruptCheckpointWarning,
)
from xentjax.train.leaves import to_arrays
from xentjax.train.manifest import ConfigMismatchError

# Of several reads at once the first that fails ends Orbax's event loop, and the others then find it
# closed: in threads of their own, where nobody hears of it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG = {"model": "mlp", "learning_rate": 0.001, "data": {"name": "digits", "size": [8, 8]}}


def linear(w, x):
    return x @ w


def make_state(step=0, *, width=8, seed=0, optimizer=None):
    config = MLPConfig(in_features=4, hidden_features=(width,), classes=3, dropout=0.5)
    model = MLP(config, rngs=nnx.Rngs(seed))
    state = TrainState.create(model, optimizer or optax.adam(0.1), key=jax.random.key(seed))
    return at(state, step)


def at(state, step):
    """The state as it could be after some steps: its numbers differ at each."""

    def moved(leaf):
        return leaf + step if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return dataclasses.replace(jax.tree.map(moved, state), step=jnp.int32(step))


def small_state(step=0):
    """One array of numbers, so that a restore takes little."""
    model = from_apply(linear, jnp.arange(12, dtype=jnp.float32).reshape(4, 3))
    return at(TrainState.create(model, optax.sgd(0.1), key=jax.random.key(0)), step)


def assert_same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    ours, theirs = to_arrays(ours), to_arrays(theirs)
    assert list(ours) == list(theirs)
    for name, wanted in theirs.items():
        assert ours[name].dtype == wanted.dtype, name
        assert np.asarray(ours[name]).tobytes() == np.asarray(wanted).tobytes(), name


def steps_in(directory):
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())


def save(directory, *steps, make=small_state, **options):
    with Checkpoints(directory, every=1, **options) as checkpoints:
        for step in steps:
            checkpoints.save(make(step), {"items": step})


def test_what_is_restored_is_what_was_saved(tmp_path):
    state, progress = make_state(7), {"items": 70, "best": [0.5, 7], "data": {"next_index": 9}}
    state = dataclasses.replace(state, params=jax.tree.map(lambda x: x * jnp.nan, state.params))
    with Checkpoints(tmp_path / "new", every=5) as checkpoints:
        checkpoints.save(state, progress, 0.5)
    restored = Checkpoints(tmp_path / "new", every=5).restore(make_state(seed=1))
    assert_same(restored.state, state)
    assert (restored.progress, restored.skipped) == (progress, ())
    # Keys are typed keys again, also inside the model, and go on as before.
    assert jax.random.bits(restored.state.key) == jax.random.bits(state.key)
    # Like an array that was never put anywhere, it may still go to other devices.
    assert not any(leaf.committed for leaf in jax.tree.leaves(restored.state))


def test_where_there_is_nothing_nothing_is_restored(tmp_path):
    checkpoints = Checkpoints(tmp_path / "none", every=1)
    assert checkpoints.restore(small_state()) is None
    assert checkpoints.restore_best(small_state()) is None
    checkpoints.close()
    assert not (tmp_path / "none").exists()


def test_a_step_that_donates_the_saved_state_does_not_change_the_checkpoint(tmp_path):
    # 16 MB of noise, so that the files are still being written when the step runs.
    params = jax.random.normal(jax.random.key(3), (4, 1024, 1024))
    state = TrainState.create(from_apply(linear, params), optax.sgd(0.1), key=jax.random.key(0))
    like = state.copy()  # of a donated state there is nothing left to copy
    overwrite = jax.jit(lambda params: params * 0, donate_argnums=0)
    with Checkpoints(tmp_path, every=1) as checkpoints:
        checkpoints.save(state, {})
        moving = state.params
        for _ in range(3):
            moving = overwrite(moving)
        restored = checkpoints.restore(like)
    np.testing.assert_array_equal(restored.state.params, params)


def test_numbers_that_are_viewed_outlive_a_donation():
    # Why saving needs no copy of its own on a CPU.
    array = jax.device_put(jnp.ones((8, 1024)))
    view, pointer = np.asarray(array), array.unsafe_buffer_pointer()
    zeros = jax.jit(lambda x: x * 0, donate_argnums=0)(array)
    assert zeros.unsafe_buffer_pointer() != pointer
    np.testing.assert_array_equal(view, 1)


def test_the_newest_the_best_and_what_they_refer_to_stay(tmp_path):
    best, kept = None, []
    with Checkpoints(tmp_path, every=1, keep_last=2) as checkpoints:
        for step, loss in enumerate([3.0, 1.0, 2.0, None, 1.0, None, 0.5, 0.7, None]):
            if loss is not None and (best is None or loss < best[0]):
                best = (loss, step)
            checkpoints.save(small_state(step), {"best": best}, loss)
            checkpoints.wait()
            kept.append(steps_in(tmp_path))
        newest = checkpoints.restore_best(small_state())
    assert kept == [
        *([0], [0, 1], [1, 2], [1, 2, 3], [1, 3, 4], [1, 4, 5]),
        # The one before the newest still refers to step 1.
        *([1, 5, 6], [6, 7], [6, 7, 8]),
    ]
    assert (newest.nats, newest.step) == (0.5, 6)
    np.testing.assert_array_equal(newest.params, small_state(6).params)


def test_a_run_that_goes_on_keeps_what_the_run_before_kept(tmp_path):
    with Checkpoints(tmp_path, every=1) as checkpoints:
        for step in range(4):
            checkpoints.save(small_state(step), {"best": (0.5, 0)}, 0.5 + step)
    with Checkpoints(tmp_path, every=1) as checkpoints:
        assert int(checkpoints.restore(small_state()).state.step) == 3
        assert checkpoints.restore_best(small_state()).step == 0
        checkpoints.save(small_state(3), {"best": None})  # kept already
        checkpoints.save(small_state(4), {"best": (0.5, 0)})
    assert steps_in(tmp_path) == [0, 3, 4]


def test_the_best_is_restored_as_it_was_evaluated(tmp_path):
    from xentjax.optim import ema

    rule = ema(optax.sgd(0.1), decay=0.5)
    state = make_state(3, optimizer=rule)
    grads = jax.tree.map(jnp.ones_like, state.params)
    _, opt_state = rule.update(grads, state.opt_state, state.params)
    state = dataclasses.replace(state, opt_state=opt_state)
    with Checkpoints(tmp_path, every=1) as checkpoints:
        checkpoints.save(state, {"best": (0.5, 3)}, 0.5)
        best = checkpoints.restore_best(make_state(optimizer=rule))
    assert_same(best.params, state.evaluated().params)
    with pytest.raises(AssertionError):
        assert_same(best.params, state.params)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip, os.remove], ids=["truncated", "flipped", "lost"])
def test_whatever_file_is_harmed_no_wrong_number_is_restored(tmp_path, harm):
    save(tmp_path / "sound", 1, 2)
    files = [path for path in (tmp_path / "sound" / "2").rglob("*") if path.is_file()]
    named = []
    for file in files:
        if file.stat().st_size == 0:
            continue
        directory = tmp_path / "harmed"
        shutil.copytree(tmp_path / "sound", directory)
        name = file.relative_to(tmp_path / "sound")
        harm(directory / name)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CorruptCheckpointWarning)
            restored = Checkpoints(directory, every=1).restore(small_state())
        if caught:
            assert str(directory / "2") + " is not used: its " in str(caught[0].message)
            assert [skipped.path for skipped in restored.skipped] == [directory / "2"]
            named.append(str(name))
        # Harm to a file that says nothing about the state changes nothing.
        assert_same(restored.state, small_state(1 if caught else 2))
        shutil.rmtree(directory)
    # The numbers themselves, and all that is needed to find them, are watched.
    watched = [name for name in named if "/d/" in name or name.endswith("manifest.ocdbt")]
    assert watched
    assert "2/manifest/metadata" in named


@pytest.mark.parametrize("harm", ["empty directory", "no arrays", "not committed"])
def test_a_newest_one_that_is_no_checkpoint_is_named(tmp_path, harm):
    save(tmp_path, 1, 2)
    newest = tmp_path / "2"
    if harm == "empty directory":
        shutil.rmtree(newest)
        newest.mkdir()
    elif harm == "no arrays":
        shutil.rmtree(newest / "arrays")
    else:
        newest = newest.rename(tmp_path / "2.orbax-checkpoint-tmp")
    checkpoints = Checkpoints(tmp_path, every=1)
    with pytest.warns(CorruptCheckpointWarning, match=f"{newest} is not used: .*step 1 is used"):
        restored = checkpoints.restore(small_state())
    assert_same(restored.state, small_state(1))
    # The run takes these steps again, and its new checkpoint takes the place of the damaged one.
    with checkpoints:
        checkpoints.save(small_state(2), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    assert_same(Checkpoints(tmp_path, every=1).restore(small_state()).state, small_state(2))


def test_where_all_are_damaged_that_is_an_error(tmp_path):
    save(tmp_path, 1, 2)
    for step in (1, 2):
        truncate(tmp_path / str(step) / "manifest" / "metadata")
    with pytest.raises(CorruptCheckpointError, match=r"none of the checkpoints(.|\n)*2: its mani"):
        Checkpoints(tmp_path, every=1).restore(small_state())


def test_a_best_that_is_lost_is_named(tmp_path):
    with Checkpoints(tmp_path, every=1) as checkpoints:
        for step in range(3):
            checkpoints.save(small_state(step), {"best": (0.5, 0)}, 0.5 + step)
    shutil.rmtree(tmp_path / "0")
    checkpoints = Checkpoints(tmp_path, every=1)
    checkpoints.restore(small_state())
    with pytest.warns(CorruptCheckpointWarning, match="0 is not used: .*the best up to now is lo"):
        assert checkpoints.restore_best(small_state()) is None


def test_another_model_is_refused_with_the_differences(tmp_path):
    save(tmp_path, 1, make=make_state)
    with pytest.raises(ValueError, match="another model or optimizer") as error:
        Checkpoints(tmp_path, every=1).restore(make_state(width=16, optimizer=optax.sgd(0.1)))
    lines = str(error.value).splitlines()
    assert (
        "  params/head/kernel/value: float32[8, 3] in the checkpoint, float32[16, 3] wanted"
    ) in lines
    assert "  opt_state/0/count: int32[] in the checkpoint, (absent) wanted" in lines


def test_another_config_is_refused_line_by_line(tmp_path):
    save(tmp_path, 1, config=CONFIG)
    now = {"model": "mlp", "learning_rate": 0.003, "data": {"name": "iris", "size": (8, 8)}}
    with pytest.raises(ConfigMismatchError) as error:
        Checkpoints(tmp_path, every=1, config=now).restore(small_state())
    assert str(error.value).splitlines()[1:-1] == [
        "  data.name: digits in the checkpoint, iris now",
        "  learning_rate: 0.001 in the checkpoint, 0.003 now",
    ]
    other = Checkpoints(tmp_path, every=1, config=now | {"out": tmp_path})
    assert other.restore(small_state(), may_differ=["learning_rate", "data", "out"])
    assert Checkpoints(tmp_path, every=1, config=CONFIG).restore(small_state())
    assert Checkpoints(tmp_path, every=1).restore(small_state())


def test_the_checkpoints_of_another_run_are_not_overwritten(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(ValueError, match=r"up to step 1 of an earlier run; call restore\(\)"):
        Checkpoints(tmp_path, every=1).save(small_state(5), {})
    with Checkpoints(tmp_path, every=1) as checkpoints:
        checkpoints.restore(small_state())
        with pytest.raises(ValueError, match="step 0 lies before step 1"):
            checkpoints.save(small_state(0), {})


def test_arguments_are_checked(tmp_path):
    for name in ("every", "keep_last", "keep_best"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            Checkpoints(tmp_path, **({"every": 1} | {name: 0}))
    with pytest.raises(TypeError, match="config: cannot keep a complex"):
        Checkpoints(tmp_path, every=1, config={"rate": 1j})
    with Checkpoints(tmp_path, every=1) as checkpoints:  # noqa: SIM117
        with pytest.raises(TypeError, match=r"progress: cannot be kept as JSON.*get_state"):
            checkpoints.save(small_state(), {"data": b"bytes"})


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB; only root may mount one."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk; the test of a file size limit runs instead")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def random_state(step):
    """650 kB that cannot be compressed: one fits on the small disk, two do not."""
    params = jax.random.bits(jax.random.key(step), (160, 1024), jnp.uint32).astype(jnp.float32)
    model = from_apply(linear, params)
    return at(TrainState.create(model, optax.identity(), key=jax.random.key(0)), step)


@pytest.mark.parametrize("surfaces", ["close", "save"])
def test_a_full_disk_is_a_clear_error_and_the_last_good_one_stays(small_disk, surfaces):
    directory = small_disk / "run"
    checkpoints = Checkpoints(directory, every=1)
    checkpoints.save(random_state(1), {})
    checkpoints.wait()
    message = (
        rf"could not be written to {directory}: the disk is full, .* MB are free; free .* one is 1$"
    )
    with pytest.raises(CheckpointWriteError, match=message) as error:  # noqa: PT012
        checkpoints.save(random_state(2), {})
        if surfaces == "save":
            checkpoints.save(random_state(3), {})
        checkpoints.close()
    assert isinstance(error.value, OSError)
    assert error.value.errno == errno.ENOSPC
    checkpoints.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorruptCheckpointWarning)
        restored = Checkpoints(directory, every=1).restore(random_state(0))
    assert_same(restored.state, random_state(1))


def test_a_write_that_fails_surfaces_and_the_next_may_succeed(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    checkpoints = Checkpoints(tmp_path, every=1)
    checkpoints.save(random_state(1), {})
    checkpoints.wait()
    try:
        # Python ignores the signal, so that a write beyond 100 kB fails with "file too large".
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with pytest.raises(CheckpointWriteError, match="newest whole one is 1"):  # noqa: PT012
            checkpoints.save(random_state(2), {})
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with checkpoints:
        checkpoints.save(random_state(3), {})
    assert steps_in(tmp_path) == [1, 3]
    assert_same(Checkpoints(tmp_path, every=1).restore(random_state(0)).state, random_state(3))


def test_an_error_in_the_block_comes_before_a_failed_write(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, every=1)

    def failing():
        raise CheckpointWriteError(28, "no room")

    monkeypatch.setattr(checkpoints, "close", failing)
    with pytest.raises(KeyError) as error, checkpoints:
        raise KeyError("first")
    assert "no room" in error.value.__notes__[0]


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_what_was_saved_on_eight_devices_is_restored_on_others(tmp_path, devices):
    def on(count):
        mesh = jax.make_mesh(
            (count,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:count]
        )
        rows = NamedSharding(mesh, PartitionSpec("data"))
        params = jax.device_put(jnp.arange(32.0).reshape(8, 4), rows)
        model = from_apply(linear, params)
        return TrainState.create(model, optax.adam(0.1), key=jax.random.key(0))

    with Checkpoints(tmp_path, every=1) as checkpoints:
        checkpoints.save(at(on(8), 1), {})
    like = on(devices)
    restored = Checkpoints(tmp_path, every=1).restore(like)
    assert_same(restored.state, at(on(8), 1))
    assert restored.state.params.sharding == like.params.sharding


def test_progress_and_config_can_be_read_without_this_package(tmp_path):
    save(tmp_path, 1, config=CONFIG)
    content = json.loads((tmp_path / "1" / "manifest" / "metadata").read_text())
    assert (content["progress"], content["config"]) == ({"items": 1}, CONFIG)
    assert content["leaves"]["params"]["shape"] == [4, 3]
