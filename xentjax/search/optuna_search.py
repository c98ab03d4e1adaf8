"""Optuna by ask-and-tell: a study proposes several configurations, one sweep trains them together.

Prefer it to random search once a few dozen trials have been seen and each is dear; `pip install
"xentjax[tune]"` brings Optuna. Only the protocol is used here: a study of any kind with `ask` and
`tell` does.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from xentjax.search.space import (
    Choice,
    Dimension,
    Hyperparameters,
    Integer,
    LogUniform,
    Space,
    Uniform,
    dimensions,
)
from xentjax.search.sweep_result import SweepResult


@runtime_checkable
class Study(Protocol):
    """What is used of an `optuna.Study`."""

    def ask(self) -> Any:
        """Returns a trial with suggest_float, suggest_int and suggest_categorical."""
        ...

    def tell(self, trial: Any, values: float) -> Any:
        """Takes the value of a trial that was asked for."""
        ...


def search_with_study(
    study: Study,
    space: Space,
    train: Callable[[Sequence[Hyperparameters]], SweepResult],
    *,
    trials: int,
    together: int = 8,
) -> list[SweepResult]:
    """Ask a study for configurations, train them together and tell it the validation losses.

    A trial that diverged is told as infinity, which a study ranks last and learns from; a failed
    trial it would forget, and propose again.

    Args:
        study: `optuna.create_study(direction="minimize")`. Its sampler sees nothing of a trial
            before its whole batch is done: for TPE give `TPESampler(constant_liar=True, seed=…)`,
            so that the trials of a batch differ.
        space: as for `sweep`; no `Dimension` of one's own.
        train: trains configurations, as `lambda configurations: sweep(trial, data, space,
            trials=configurations, …)`.
        trials: how many in all.
        together: how many are asked for at a time: more fill an accelerator better, fewer let the
            study learn more often. Each batch compiles its programs.

    Returns:
        The result of each batch.

    Raises:
        ValueError: if the study maximizes, or a count is below 1.
        TypeError: if a dimension is of a kind that a study cannot propose.

    Example:
        >>> study = optuna.create_study(direction="minimize")  # doctest: +SKIP
        >>> search_with_study(study, space, train, trials=64, together=16)  # doctest: +SKIP
        >>> study.best_params  # doctest: +SKIP
    """
    axes = dimensions(space)
    _check(study, axes, trials, together)
    results = []
    for done in range(0, trials, together):
        asked = [study.ask() for _ in range(min(together, trials - done))]
        configurations = [
            {name: _suggest(each, name, axis) for name, axis in axes.items()} for each in asked
        ]
        result = train(configurations)
        losses = {
            row.number: float("inf") if row.diverged else row.validation_nats for row in result.rows
        }
        for number, each in enumerate(asked):
            study.tell(each, losses[number])
        results.append(result)
    return results


def _suggest(trial: Any, name: str, axis: Dimension) -> Any:
    if isinstance(axis, Choice):
        return trial.suggest_categorical(name, list(axis.values))
    if isinstance(axis, Integer):
        return trial.suggest_int(name, axis.low, axis.high)
    assert isinstance(axis, LogUniform | Uniform), "checked before the first trial"
    return trial.suggest_float(name, axis.low, axis.high, log=isinstance(axis, LogUniform))


def _check(study: Study, axes: dict[str, Dimension], trials: int, together: int) -> None:
    for name, value in {"trials": trials, "together": together}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    direction = getattr(getattr(study, "direction", None), "name", "MINIMIZE")
    if direction != "MINIMIZE":
        raise ValueError(
            f"study must minimize, for it is told validation losses, got direction {direction}; "
            'give optuna.create_study(direction="minimize")'
        )
    for name, axis in axes.items():
        if not isinstance(axis, Choice | Integer | LogUniform | Uniform):
            raise TypeError(
                f"space[{name!r}] must be LogUniform, Uniform, Integer or Choice for a study, got "
                f"{type(axis).__name__}"
            )
