"""Steps whose loss or gradient is not a finite number: named, counted, and too many end a training.

The compiled step leaves the parameters as they were in such a step (`make_update`), so training can
go on past a single bad batch.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from xentjax.train.state import TrainState

_LOOK_FOR = (
    "look for a label outside [0, classes), for NaN or infinity in that batch, then for a "
    "learning rate that is too high"
)


class NonFiniteLossError(ArithmeticError, ValueError):
    """The loss or its gradient was not a finite number too many times in a row.

    Attributes:
        step: the first of these steps, counting from 1; it is also the number of its batch.
        batch: the newest of these batches.
        state: the training state, which no such step has changed; good steps after these in the
            same call have.
    """

    def __init__(
        self, message: str, *, step: int, batch: Mapping[str, Any] | None, state: TrainState | None
    ) -> None:
        super().__init__(message)
        self.step, self.batch, self.state = step, batch, state


class SkippedStepWarning(UserWarning):
    """A step was skipped, because its loss or gradient was not finite."""


class NonFiniteSteps:
    """Counts the steps whose loss or gradient was not finite; the step itself skipped them.

    Attributes:
        in_a_row: how many of the newest steps were.
    """

    def __init__(self, in_a_row: int, most: int) -> None:
        self.in_a_row, self._most = in_a_row, most

    def look(
        self,
        metrics: Mapping[str, Any],
        batches: Mapping[str, Any],
        state: TrainState,
        *,
        first_step: int,
    ) -> None:
        """Takes in the metrics of a call, arrays [steps].

        Warns:
            SkippedStepWarning: naming the step, for each that was skipped.

        Raises:
            NonFiniteLossError: naming the first of too many in a row.
        """
        for place, skipped in enumerate(np.asarray(metrics["skipped"])):
            self.in_a_row = self.in_a_row + 1 if skipped else 0
            if not skipped:
                continue
            step = first_step + place
            figures = _figures(metrics, place)
            if self.in_a_row >= self._most:
                first = step - self.in_a_row + 1
                raise NonFiniteLossError(
                    f"training stopped at step {first}: {figures}"
                    + (f", and so the {self._most - 1} steps after it" if self._most > 1 else "")
                    + f"; none of these changed the parameters. In batch {first}, {_LOOK_FOR}",
                    step=first,
                    batch={name: array[place] for name, array in batches.items()},
                    state=state,
                )
            warnings.warn(
                f"step {step} was skipped: {figures}; in batch {step}, {_LOOK_FOR}",
                SkippedStepWarning,
                stacklevel=2,
            )


def _figures(metrics: Mapping[str, Any], place: int) -> str:
    weight = float(metrics["loss_weight"][place])
    loss = float(metrics["loss_total"][place]) / (weight or 1)
    text = f"loss {loss:.4g} nats, gradient norm {float(metrics['grad_norm'][place]):.4g}"
    if "learning_rate" in metrics:
        text += f", learning rate {float(metrics['learning_rate'][place]):.3g}"
    return text
