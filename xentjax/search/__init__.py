"""Finding hyperparameters: a range test for the learning rate, and sweeps in one compiled program.

Names load on first use (PEP 562).
"""

from typing import TYPE_CHECKING

import xentjax

_HOME = {
    "Choice": "space",
    "Halving": "halving",
    "Integer": "space",
    "LogUniform": "space",
    "RateCurve": "rate_curve",
    "SweepResult": "sweep_result",
    "SweepRow": "sweep_result",
    "Trial": "trials",
    "Uniform": "space",
    "grid": "space",
    "lr_find": "finder",
    "random_search": "space",
    "search_with_study": "optuna_search",
    "sweep": "sweeping",
}

__all__ = [
    "Choice",
    "Halving",
    "Integer",
    "LogUniform",
    "RateCurve",
    "SweepResult",
    "SweepRow",
    "Trial",
    "Uniform",
    "grid",
    "lr_find",
    "random_search",
    "search_with_study",
    "sweep",
]

if TYPE_CHECKING:
    from xentjax.search.finder import lr_find
    from xentjax.search.halving import Halving
    from xentjax.search.optuna_search import search_with_study
    from xentjax.search.rate_curve import RateCurve
    from xentjax.search.space import Choice, Integer, LogUniform, Uniform, grid, random_search
    from xentjax.search.sweep_result import SweepResult, SweepRow
    from xentjax.search.sweeping import sweep
    from xentjax.search.trials import Trial


__getattr__ = xentjax._loader(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
