"""Training: the one room where a model, a loss and an optimizer meet, as plain callables.

`fit` trains in one line. Its pieces: `TrainState` holds everything a step changes, `make_step`
compiles several optimizer steps into one call, `make_evaluate` scores every example exactly once,
`train_loop` runs them, stops and keeps the best, `Checkpoints` are resumed from exactly.

Names load on first use (PEP 562). No module has the name of a function that is exported here, or
importing the module would hide the function.
"""

from typing import TYPE_CHECKING

import xentjax

_HOME = {
    "Architecture": "architecture",
    "CheckpointWriteError": "damage",
    "Checkpoints": "checkpoint",
    "ConfigMismatchError": "manifest",
    "CorruptCheckpointError": "damage",
    "CorruptCheckpointWarning": "damage",
    "EarlyStopping": "stopping",
    "FitResult": "loop",
    "Layout": "layout",
    "NonFiniteLossError": "non_finite",
    "Plateau": "stopping",
    "Record": "record",
    "Run": "runs",
    "SkippedStepWarning": "non_finite",
    "StoppingRule": "stopping",
    "TargetLoss": "stopping",
    "TensorBoardLogger": "loggers",
    "TimeBudget": "stopping",
    "Totals": "totals",
    "TrainState": "state",
    "create_run": "runs",
    "create_sharded": "sharding",
    "cross_entropy": "objectives",
    "fit": "fitting",
    "from_apply": "architecture",
    "from_linen": "architecture",
    "local_part": "sharded_batches",
    "make_evaluate": "evaluate",
    "make_feed": "feeding",
    "make_step": "step",
    "make_update": "step",
    "padded_batches": "evaluate",
    "place_batch": "sharded_batches",
    "place_local_batch": "sharded_batches",
    "place_state": "sharding",
    "shared_clock": "processes",
    "shared_interruption": "processes",
    "stack_batches": "step",
    "state_shardings": "sharding",
    "supervised": "objectives",
    "terminations": "signals",
    "train_loop": "loop",
}

__all__ = [
    "Architecture",
    "CheckpointWriteError",
    "Checkpoints",
    "ConfigMismatchError",
    "CorruptCheckpointError",
    "CorruptCheckpointWarning",
    "EarlyStopping",
    "FitResult",
    "Layout",
    "NonFiniteLossError",
    "Plateau",
    "Record",
    "Run",
    "SkippedStepWarning",
    "StoppingRule",
    "TargetLoss",
    "TensorBoardLogger",
    "TimeBudget",
    "Totals",
    "TrainState",
    "create_run",
    "create_sharded",
    "cross_entropy",
    "fit",
    "from_apply",
    "from_linen",
    "local_part",
    "make_evaluate",
    "make_feed",
    "make_step",
    "make_update",
    "padded_batches",
    "place_batch",
    "place_local_batch",
    "place_state",
    "shared_clock",
    "shared_interruption",
    "stack_batches",
    "state_shardings",
    "supervised",
    "terminations",
    "train_loop",
]

if TYPE_CHECKING:
    from xentjax.train.architecture import Architecture, from_apply, from_linen
    from xentjax.train.checkpoint import Checkpoints
    from xentjax.train.damage import (
        CheckpointWriteError,
        CorruptCheckpointError,
        CorruptCheckpointWarning,
    )
    from xentjax.train.evaluate import make_evaluate, padded_batches
    from xentjax.train.feeding import make_feed
    from xentjax.train.fitting import fit
    from xentjax.train.layout import Layout
    from xentjax.train.loggers import TensorBoardLogger
    from xentjax.train.loop import FitResult, train_loop
    from xentjax.train.manifest import ConfigMismatchError
    from xentjax.train.non_finite import NonFiniteLossError, SkippedStepWarning
    from xentjax.train.objectives import cross_entropy, supervised
    from xentjax.train.processes import shared_clock, shared_interruption
    from xentjax.train.record import Record
    from xentjax.train.runs import Run, create_run
    from xentjax.train.sharded_batches import local_part, place_batch, place_local_batch
    from xentjax.train.sharding import create_sharded, place_state, state_shardings
    from xentjax.train.signals import terminations
    from xentjax.train.state import TrainState
    from xentjax.train.step import make_step, make_update, stack_batches
    from xentjax.train.stopping import EarlyStopping, Plateau, StoppingRule, TargetLoss, TimeBudget
    from xentjax.train.totals import Totals


__getattr__ = xentjax._loader(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
