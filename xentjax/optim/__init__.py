"""Schedules (step → value), optimizers (optax chains with names), averages and penalties."""

from xentjax.optim.adam import adam, adamw, lamb, nadamw
from xentjax.optim.adaptive import adafactor, adagrad, lion, rmsprop
from xentjax.optim.averaging import AveragedState, ema, evaluation_params, swa
from xentjax.optim.clipping import clipped
from xentjax.optim.cycles import one_cycle, sgdr, triangular
from xentjax.optim.decays import constant, cosine, exponential, linear, piecewise, polynomial
from xentjax.optim.descent import momentum, nesterov, sgd
from xentjax.optim.masks import decay_mask, hidden_matrices
from xentjax.optim.matrix import muon
from xentjax.optim.parameter_free import dog, prodigy
from xentjax.optim.penalties import elastic_net, l1, l2
from xentjax.optim.plateau import plateau
from xentjax.optim.progress import Schedule
from xentjax.optim.recipes import RATE_FREE, optimizer, optimizer_options
from xentjax.optim.schedule_free import schedule_free
from xentjax.optim.schedules import schedule
from xentjax.optim.second_order import lbfgs
from xentjax.optim.sharpness import sam
from xentjax.optim.update import extra_arguments, update
from xentjax.optim.warmups import inverse_sqrt, warmup_cosine, warmup_stable_decay

__all__ = [
    "RATE_FREE",
    "AveragedState",
    "Schedule",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "clipped",
    "constant",
    "cosine",
    "decay_mask",
    "dog",
    "elastic_net",
    "ema",
    "evaluation_params",
    "exponential",
    "extra_arguments",
    "hidden_matrices",
    "inverse_sqrt",
    "l1",
    "l2",
    "lamb",
    "lbfgs",
    "linear",
    "lion",
    "momentum",
    "muon",
    "nadamw",
    "nesterov",
    "one_cycle",
    "optimizer",
    "optimizer_options",
    "piecewise",
    "plateau",
    "polynomial",
    "prodigy",
    "rmsprop",
    "sam",
    "schedule",
    "schedule_free",
    "sgd",
    "sgdr",
    "swa",
    "triangular",
    "update",
    "warmup_cosine",
    "warmup_stable_decay",
]
