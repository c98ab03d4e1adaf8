"""Cases of the preference and policy losses."""

from functools import partial

import numpy as np

from bench.cases.case import Draw, LossCase, normal
from xentjax.losses.policy import grpo_loss
from xentjax.losses.preference import dpo_loss, kto_loss
from xentjax.losses.reference_free import orpo_loss, simpo_loss

_CERTAIN = "no log-probability is above 0; tests/losses/test_reference_free.py goes up to 0"
_ABOVE_ZERO = ("gradient", "hessian_finite", "finite_at_extremes")
_PAIRS = {"event_dims": 0, "argnums": (0, 1)}


def _answers(count: int) -> Draw:
    """Log-probabilities of answers [n], negative, one array for each policy or side."""

    def draw(rng: np.random.Generator, n: int, _: int) -> tuple[np.ndarray, ...]:
        return tuple(-0.1 - np.abs(normal(rng, n)) for _ in range(count))

    return draw


def _judged(rng: np.random.Generator, n: int, _: int) -> tuple[np.ndarray, ...]:
    return normal(rng, n), normal(rng, n), np.arange(n) % 2 == 0, np.abs(normal(rng, n))


def _tokens(rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, ...]:
    """Log-probabilities [n, T] of two policies, off the corners of the clipping, and advantages."""
    new, old = -1 - np.abs(normal(rng, n, length)), -1 - np.abs(normal(rng, n, length))
    return new, old, normal(rng, n)


def _tokens_of_three(rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, ...]:
    return *_tokens(rng, n, length), -1 - np.abs(normal(rng, n, length))


def _dpo_torch(z_to_losses):
    """The loss of h in torch, by the formula of TRL's DPOTrainer."""

    def loss(chosen, rejected, reference_chosen, reference_rejected):
        return z_to_losses((chosen - reference_chosen) - (rejected - reference_rejected))

    return loss


def _logistic(gain):
    from torch.nn import functional  # pyright: ignore[reportMissingImports]

    return -functional.logsigmoid(0.1 * gain)


def _squared(gain):
    return (gain - 1 / (2 * 0.1)) ** 2


CASES: dict[str, LossCase] = {
    "DPO": LossCase(dpo_loss, _answers(4), _PAIRS, torch=_dpo_torch(_logistic), size=(65536, 1)),
    "IPO": LossCase(
        partial(dpo_loss, kind="ipo"),
        _answers(4),
        _PAIRS,
        torch=_dpo_torch(_squared),
        size=(65536, 1),
    ),
    "DPO, hinge": LossCase(partial(dpo_loss, kind="hinge"), _answers(4), _PAIRS, size=(65536, 1)),
    "DPO, robust": LossCase(
        partial(dpo_loss, kind="robust", label_smoothing=0.1), _answers(4), _PAIRS, size=(65536, 1)
    ),
    "DPO, conservative": LossCase(
        partial(dpo_loss, kind="conservative", label_smoothing=0.1),
        _answers(4),
        _PAIRS,
        size=(65536, 1),
    ),
    "KTO": LossCase(
        partial(kto_loss, beta=0.5, undesirable_weight=1.5),
        _judged,
        {"event_dims": 0},
        size=(65536, 1),
    ),
    "ORPO": LossCase(
        orpo_loss,
        _answers(2),
        {**_PAIRS, "leave_out": dict.fromkeys(_ABOVE_ZERO, _CERTAIN)},
        size=(65536, 1),
    ),
    "SimPO": LossCase(simpo_loss, _answers(2), _PAIRS, size=(65536, 1)),
    "GRPO": LossCase(grpo_loss, _tokens, {"event_dims": 0}, size=(64, 1024)),
    "GRPO with KL": LossCase(
        partial(grpo_loss, kl_weight=0.04), _tokens_of_three, {"event_dims": 0}, size=(64, 1024)
    ),
}
