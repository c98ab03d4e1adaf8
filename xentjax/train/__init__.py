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
    "EarlyStopping": "stopping",
    "Checkpoints": "checkpoint",
    "FitResult": "loop",
    "LanguageConfig": "config",
    "NonFiniteLossError": "non_finite",
    "Plateau": "stopping",
    "Record": "record",
    "Run": "runs",
    "SkippedStepWarning": "non_finite",
    "StoppingRule": "stopping",
    "TabularConfig": "config",
    "TargetLoss": "stopping",
    "TimeBudget": "stopping",
    "Totals": "totals",
    "TrainState": "state",
    "create_run": "runs",
    "cross_entropy": "objectives",
    "fit": "fit",
    "from_apply": "architecture",
    "from_linen": "architecture",
    "make_evaluate": "evaluate",
    "make_step": "step",
    "make_update": "step",
    "padded_batches": "evaluate",
    "stack_batches": "step",
    "supervised": "objectives",
    "train_language": "language",
    "train_loop": "loop",
    "train_tabular": "tabular",
}

__all__ = [
    "Architecture",
    "Checkpoints",
    "EarlyStopping",
    "FitResult",
    "LanguageConfig",
    "NonFiniteLossError",
    "Plateau",
    "Record",
    "Run",
    "SkippedStepWarning",
    "StoppingRule",
    "TabularConfig",
    "TargetLoss",
    "TimeBudget",
    "Totals",
    "TrainState",
    "create_run",
    "cross_entropy",
    "fit",
    "from_apply",
    "from_linen",
    "make_evaluate",
    "make_step",
    "make_update",
    "padded_batches",
    "stack_batches",
    "supervised",
    "train_language",
    "train_loop",
    "train_tabular",
]

if TYPE_CHECKING:
    from xentjax.train.architecture import Architecture, from_apply, from_linen
    from xentjax.train.checkpoint import Checkpoints
    from xentjax.train.config import LanguageConfig, TabularConfig
    from xentjax.train.evaluate import make_evaluate, padded_batches
    from xentjax.train.fit import fit
    from xentjax.train.language import train_language
    from xentjax.train.loop import FitResult, train_loop
    from xentjax.train.non_finite import NonFiniteLossError, SkippedStepWarning
    from xentjax.train.objectives import cross_entropy, supervised
    from xentjax.train.record import Record
    from xentjax.train.runs import Run, create_run
    from xentjax.train.state import TrainState
    from xentjax.train.step import make_step, make_update, stack_batches
    from xentjax.train.stopping import EarlyStopping, Plateau, StoppingRule, TargetLoss, TimeBudget
    from xentjax.train.tabular import train_tabular
    from xentjax.train.totals import Totals


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'xentjax.train' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"xentjax.train.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
