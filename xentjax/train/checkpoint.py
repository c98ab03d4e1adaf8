"""Checkpoints on Orbax: written beside the training, checked when read, exact to the bit.

Use them through `train_loop(checkpoints=…)`, or call `save` in a loop of your own. Of several
processes each makes its own `Checkpoints` of the same shared directory and calls the same methods.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orbax.checkpoint as ocp

from xentjax.train.agreement import holds_everywhere, read_everywhere
from xentjax.train.checkpoint_directory import arrays_of, manifest_of, unfinished, whole_steps
from xentjax.train.damage import (
    CheckpointWriteError,
    DamageError,
    Skipped,
    none_sound,
    reason,
    write_error,
)
from xentjax.train.leaves import from_arrays, to_arrays, to_shapes
from xentjax.train.loop import Best
from xentjax.train.manifest import (
    check_arrays,
    check_config,
    check_fits,
    make_manifest,
    plain_config,
    read_manifest,
)
from xentjax.train.retention import Retention
from xentjax.train.state import TrainState


class Restored(NamedTuple):
    """What `train_loop(state, resumed=(progress, best))` goes on from.

    Attributes:
        state: bit for bit the one that was saved.
        progress: what was saved with it.
        skipped: newer checkpoints that are damaged or were never finished.
    """

    state: TrainState
    progress: dict[str, Any]
    skipped: tuple[Skipped, ...]


class Checkpoints:
    """The checkpoints of one run: saved asynchronously, and found sound or named when restored.

    Attributes:
        directory: where they are.
        every: steps between two of them, for `train_loop`.

    Example:
        >>> import jax, optax, tempfile
        >>> from flax import nnx
        >>> model, key = nnx.Linear(2, 3, rngs=nnx.Rngs(0)), jax.random.key(0)
        >>> state = TrainState.create(model, optax.adam(0.1), key=key)
        >>> with tempfile.TemporaryDirectory() as folder, Checkpoints(folder, every=10) as kept:
        ...     kept.save(state, {"items": 7})
        ...     kept.restore(state).progress
        {'items': 7}
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        every: int,
        keep_last: int = 2,
        keep_best: int = 1,
        config: Any = None,
    ) -> None:
        """Touches nothing on disk yet.

        Args:
            directory: of this run alone; made at the first save.
            every: steps between two checkpoints.
            keep_last: how many of the newest to keep: with two, damage to the newest costs the
                steps since the one before it.
            keep_best: how many of the best validated to keep. Each of the newest also keeps the
                one that was the best by then.
            config: the run's options, a dict or a dataclass of what JSON can hold; a run with other
                options is not resumed from these checkpoints.

        Raises:
            ValueError: if a count is below 1.
            TypeError: if config is not JSON.
        """
        for name, count in (("every", every), ("keep_last", keep_last), ("keep_best", keep_best)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        self.directory, self.every = Path(directory).absolute(), every
        self._config = plain_config(config)
        self._retention = Retention(keep_last, keep_best)
        self._manager: ocp.CheckpointManager | None = None
        # Where the run is: the step last saved or restored, and what is known of the best by then.
        self._at: int | None = None
        self._best: tuple[float, int] | None = None

    def save(
        self, state: TrainState, progress: Mapping[str, Any], loss: float | None = None
    ) -> None:
        """Copies the state to the host and returns; other threads write the files.

        On the host that costs the memory of the state until they are written, and one reading for
        the checksums; on devices nothing. Waits while the save before this one is being written.
        The step that was saved or restored last is not written again.

        Args:
            state: may be donated as soon as this returns.
            progress: JSON; "best": (nats, step) in it names the best validation up to now.
            loss: the validation loss of this very state in nats; None if it was not validated.

        Raises:
            CheckpointWriteError: if this checkpoint or the one before it could not be written.
            ValueError: if the directory holds checkpoints that this run was not resumed from, or
                the step lies before the last one.
            TypeError: if progress is not JSON.
        """
        step = int(state.step)
        if step == self._at:
            return
        if self._at is not None and step < self._at:
            raise ValueError(f"state: its step {step} lies before step {self._at}, saved last")
        manager = self._manager or self._open()
        # No copy on the device: Orbax has all numbers on the host before `save` returns. On a CPU
        # these are views, and JAX gives no buffer away to a donation that is still viewed.
        arrays = to_arrays(state)
        manifest = make_manifest(state, arrays, progress=progress, loss=loss, config=self._config)
        self._retention.add(step, manifest)
        with self._naming_errors():
            manager.save(
                step,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardSave(arrays), manifest=ocp.args.JsonSave(manifest)
                ),
                force=True,
            )
        self._at, self._best = step, manifest["progress"].get("best")

    def restore(self, like: TrainState, *, may_differ: Iterable[str] = ()) -> Restored | None:
        """Reads the newest checkpoint that is sound.

        Args:
            like: a new state of the same model and optimizer: says the structure, and on which
                devices each array goes; these need not be as many as it came from.
            may_differ: options in which the config may differ from the stored one, such as
                "steps"; "optimizer" stands for all there is inside it, such as "optimizer.name".

        Returns:
            The state, the progress and what was skipped; None where there is no checkpoint.

        Raises:
            ConfigMismatchError: if the stored config is another one, with the differences.
            ValueError: if the checkpoint is of another model or optimizer, with the differences.
            CorruptCheckpointError: if there are checkpoints and none is sound.

        Warns:
            CorruptCheckpointWarning: naming each newer one that is damaged or was never finished.
        """
        self.wait()
        may_differ = tuple(may_differ)
        steps = whole_steps(self.directory)
        skipped = unfinished(self.directory, after=steps[-1] if steps else -1)
        for step in reversed(steps):
            state, manifest, why = self._read(step, like, may_differ=may_differ)
            if state is not None:
                self._at, self._best = step, manifest["progress"].get("best")
                for damaged in skipped:
                    damaged.warn(f"the one of step {step} is used")
                return Restored(state, manifest["progress"], tuple(skipped))
            skipped.append(Skipped(self.directory / str(step), why))
        if steps:
            raise none_sound(self.directory, skipped)
        for damaged in skipped:
            damaged.warn("there is none before it")
        return None

    def restore_best(self, like: TrainState) -> Best | None:
        """Reads the best validation, as known by the checkpoint last restored or saved.

        Args:
            like: as for `restore`, which comes first.

        Returns:
            The parameters as they were evaluated, averages applied; None if nothing had been
            validated by then, or if that checkpoint is lost.

        Warns:
            CorruptCheckpointWarning: naming that checkpoint, if it is lost.
        """
        self.wait()
        if self._best is None:
            return None
        nats, step = self._best
        state, _, why = self._read(step, like)
        if state is None:
            Skipped(self.directory / str(step), why).warn("the best up to now is lost")
            return None
        return Best(nats, step, state.evaluated().params, state.rest)

    def wait(self) -> None:
        """Returns once everything saved is on disk.

        Raises:
            CheckpointWriteError: if it could not be written.
        """
        if self._manager is not None:
            with self._naming_errors():
                self._manager.wait_until_finished()
                self._manager.check_for_errors()

    def close(self) -> None:
        """Waits, as `wait` does, and ends the threads."""
        manager = self._manager
        if manager is None:
            return
        try:
            self.wait()
        finally:
            self._manager = None
            manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            self.close()
        except CheckpointWriteError as lost:
            # What ended the block comes first.
            if error is None:
                raise
            error.add_note(str(lost))

    def _read(
        self, step: int, like: TrainState, *, may_differ: Sequence[str] | None = None
    ) -> tuple[TrainState | None, dict[str, Any], str]:
        """The state of a step and its manifest, or why there is none."""
        path = self.directory / str(step)
        manifest, why = read_everywhere(read_manifest, manifest_of(path))
        if manifest is None:
            return None, {}, why
        if may_differ is not None:
            check_config(manifest, self._config, may_differ, path)
        check_fits(manifest, like, path)
        state, why = read_everywhere(_read_state, path, manifest, like)
        return state, manifest, why

    def _open(self) -> ocp.CheckpointManager:
        """Takes possession of the directory: clears away what was damaged or not finished."""
        steps = whole_steps(self.directory)
        if steps and self._at is None:
            raise ValueError(
                f"directory: {self.directory} holds checkpoints up to step {steps[-1]} of an "
                "earlier run; call restore() to go on from there, or choose another directory"
            )
        options = ocp.CheckpointManagerOptions(
            cleanup_tmp_directories=True,
            preservation_policy=self._retention,
            save_root_metadata=False,
        )
        with self._naming_errors():
            manager = ocp.CheckpointManager(
                self.directory, item_names=("arrays", "manifest"), options=options
            )
        # No process deletes before all have looked.
        holds_everywhere(True)
        for step in steps:
            if self._at is not None and step > self._at:
                manager.delete(step)
                continue
            self._retention.read(step, manifest_of(self.directory / str(step)))
        self._manager = manager
        return manager

    @contextlib.contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self._manager is not None:
                # Its list counts what was not written, and no longer what it meant to delete.
                self._manager.reload()
            steps = whole_steps(self.directory)
            self._at = steps[-1] if steps else -1
            raise write_error(error, self.directory, steps[-1] if steps else None) from error


def _read_state(path: Path, manifest: Mapping[str, Any], like: TrainState) -> TrainState:
    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            arrays = checkpointer.restore(
                arrays_of(path), args=ocp.args.StandardRestore(to_shapes(like))
            )
    except Exception as error:
        # Damage shows as any of a dozen errors, by the file and the byte.
        raise DamageError(f"its arrays cannot be read: {reason(error)}") from error
    check_arrays(manifest, arrays)
    return from_arrays(arrays, like)
