"""Schedules (step → value) and optimizers (optax chains with names)."""

from xentjax.optim.recipes import adam, adamw, decay_mask, optimizer, sgd
from xentjax.optim.schedules import Schedule, constant, warmup_cosine, warmup_stable_decay

__all__ = [
    "Schedule",
    "adam",
    "adamw",
    "constant",
    "decay_mask",
    "optimizer",
    "sgd",
    "warmup_cosine",
    "warmup_stable_decay",
]
