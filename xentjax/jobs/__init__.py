"""The jobs of the command line: real data, a model, a training or a sweep, and a directory.

Names load on first use (PEP 562): reading a config or printing `--help` needs no flax.
"""

from typing import TYPE_CHECKING

import xentjax

_HOME = {
    "ImageConfig": "config",
    "LanguageConfig": "config",
    "RunOptions": "config",
    "SweepConfig": "sweep_config",
    "TabularConfig": "config",
    "Task": "task",
    "TrainedClassifier": "reading",
    "TrainedLanguage": "reading",
    "TrainingOptions": "config",
    "read_run": "reading",
    "sweep_tabular": "tabular_sweep",
    "train_language": "language",
    "train_tabular": "tabular",
    "train_task": "task",
}

__all__ = [
    "ImageConfig",
    "LanguageConfig",
    "RunOptions",
    "SweepConfig",
    "TabularConfig",
    "Task",
    "TrainedClassifier",
    "TrainedLanguage",
    "TrainingOptions",
    "read_run",
    "sweep_tabular",
    "train_language",
    "train_tabular",
    "train_task",
]

if TYPE_CHECKING:
    from xentjax.jobs.config import (
        ImageConfig,
        LanguageConfig,
        RunOptions,
        TabularConfig,
        TrainingOptions,
    )
    from xentjax.jobs.language import train_language
    from xentjax.jobs.reading import TrainedClassifier, TrainedLanguage, read_run
    from xentjax.jobs.sweep_config import SweepConfig
    from xentjax.jobs.tabular import train_tabular
    from xentjax.jobs.tabular_sweep import sweep_tabular
    from xentjax.jobs.task import Task, train_task


__getattr__ = xentjax._loader(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
