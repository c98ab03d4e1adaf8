"""Training: the one room where a model, a loss and an optimizer meet, as plain callables.

`TrainState` holds everything a step changes, `make_step` compiles several optimizer steps into one
call, `make_evaluate` scores every example exactly once, `fit` runs them and keeps the best
parameters, `create_run` gives the results a directory. `train_tabular` and `train_language` put
them together on real data; the commands `xentjax train …` call these two.

Names load on first use (PEP 562): reading a config or printing `--help` needs no flax.
"""

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Architecture": "architecture",
    "CheckpointWriteError": "damage",
    "Checkpoints": "checkpoint",
    "Choice": "space",
    "ConfigMismatchError": "manifest",
    "CorruptCheckpointError": "damage",
    "CorruptCheckpointWarning": "damage",
    "EarlyStopping": "stopping",
    "FitResult": "loop",
    "Halving": "halving",
    "Integer": "space",
    "LanguageConfig": "config",
    "Layout": "layout",
    "LogUniform": "space",
    "NonFiniteLossError": "non_finite",
    "Plateau": "stopping",
    "RateCurve": "rate_curve",
    "Record": "record",
    "Run": "runs",
    "SkippedStepWarning": "non_finite",
    "StoppingRule": "stopping",
    "SweepResult": "sweep_result",
    "TabularConfig": "config",
    "TargetLoss": "stopping",
    "TensorBoardLogger": "loggers",
    "TimeBudget": "stopping",
    "Totals": "totals",
    "TrainState": "state",
    "Trial": "trials",
    "Uniform": "space",
    "create_run": "runs",
    "create_sharded": "sharding",
    "cross_entropy": "objectives",
    "fit": "fit",
    "from_apply": "architecture",
    "from_linen": "architecture",
    "lr_find": "finder",
    "make_evaluate": "evaluate",
    "make_step": "step",
    "make_update": "step",
    "padded_batches": "evaluate",
    "place_batch": "sharded_batches",
    "place_state": "sharding",
    "search_with_study": "optuna_search",
    "stack_batches": "step",
    "supervised": "objectives",
    "sweep": "sweep",
    "terminations": "signals",
    "train_language": "language",
    "train_loop": "loop",
    "train_tabular": "tabular",
}

__all__ = [
    "Architecture",
    "CheckpointWriteError",
    "Checkpoints",
    "Choice",
    "ConfigMismatchError",
    "CorruptCheckpointError",
    "CorruptCheckpointWarning",
    "EarlyStopping",
    "FitResult",
    "Halving",
    "Integer",
    "LanguageConfig",
    "Layout",
    "LogUniform",
    "NonFiniteLossError",
    "Plateau",
    "RateCurve",
    "Record",
    "Run",
    "SkippedStepWarning",
    "StoppingRule",
    "SweepResult",
    "TabularConfig",
    "TargetLoss",
    "TensorBoardLogger",
    "TimeBudget",
    "Totals",
    "TrainState",
    "Trial",
    "Uniform",
    "create_run",
    "create_sharded",
    "cross_entropy",
    "fit",
    "from_apply",
    "from_linen",
    "lr_find",
    "make_evaluate",
    "make_step",
    "make_update",
    "padded_batches",
    "place_batch",
    "place_state",
    "search_with_study",
    "stack_batches",
    "supervised",
    "sweep",
    "terminations",
    "train_language",
    "train_loop",
    "train_tabular",
]

if TYPE_CHECKING:
    from xentjax.train.architecture import Architecture, from_apply, from_linen
    from xentjax.train.checkpoint import Checkpoints
    from xentjax.train.config import LanguageConfig, TabularConfig
    from xentjax.train.damage import (
        CheckpointWriteError,
        CorruptCheckpointError,
        CorruptCheckpointWarning,
    )
    from xentjax.train.evaluate import make_evaluate, padded_batches
    from xentjax.train.finder import lr_find
    from xentjax.train.fit import fit
    from xentjax.train.halving import Halving
    from xentjax.train.language import train_language
    from xentjax.train.layout import Layout
    from xentjax.train.loggers import TensorBoardLogger
    from xentjax.train.loop import FitResult, train_loop
    from xentjax.train.manifest import ConfigMismatchError
    from xentjax.train.non_finite import NonFiniteLossError, SkippedStepWarning
    from xentjax.train.objectives import cross_entropy, supervised
    from xentjax.train.optuna_search import search_with_study
    from xentjax.train.rate_curve import RateCurve
    from xentjax.train.record import Record
    from xentjax.train.runs import Run, create_run
    from xentjax.train.sharded_batches import place_batch
    from xentjax.train.sharding import create_sharded, place_state
    from xentjax.train.signals import terminations
    from xentjax.train.space import Choice, Integer, LogUniform, Uniform
    from xentjax.train.state import TrainState
    from xentjax.train.step import make_step, make_update, stack_batches
    from xentjax.train.stopping import EarlyStopping, Plateau, StoppingRule, TargetLoss, TimeBudget
    from xentjax.train.sweep import sweep
    from xentjax.train.sweep_result import SweepResult
    from xentjax.train.tabular import train_tabular
    from xentjax.train.totals import Totals
    from xentjax.train.trials import Trial


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'xentjax.train' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"xentjax.train.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
