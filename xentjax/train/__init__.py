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
    "FitResult": "loop",
    "LanguageConfig": "config",
    "NonFiniteLossError": "step",
    "Record": "loop",
    "Run": "runs",
    "TabularConfig": "config",
    "Totals": "totals",
    "TrainState": "state",
    "classification_loss": "objectives",
    "create_run": "runs",
    "fit": "loop",
    "make_evaluate": "evaluate",
    "make_step": "step",
    "next_token_loss": "objectives",
    "padded_batches": "evaluate",
    "stack_batches": "step",
    "train_language": "language",
    "train_tabular": "tabular",
}

__all__ = [
    "FitResult",
    "LanguageConfig",
    "NonFiniteLossError",
    "Record",
    "Run",
    "TabularConfig",
    "Totals",
    "TrainState",
    "classification_loss",
    "create_run",
    "fit",
    "make_evaluate",
    "make_step",
    "next_token_loss",
    "padded_batches",
    "stack_batches",
    "train_language",
    "train_tabular",
]

if TYPE_CHECKING:
    from xentjax.train.config import LanguageConfig, TabularConfig
    from xentjax.train.evaluate import make_evaluate, padded_batches
    from xentjax.train.language import train_language
    from xentjax.train.loop import FitResult, Record, fit
    from xentjax.train.objectives import classification_loss, next_token_loss
    from xentjax.train.runs import Run, create_run
    from xentjax.train.state import TrainState
    from xentjax.train.step import NonFiniteLossError, make_step, stack_batches
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
