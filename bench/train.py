"""Ten training steps: xentjax, `nnx.jit` with optax, and torch eager, all the same.

The GPT is nanoGPT's small CPU one (4 layers, 4 heads, 128 wide, block 64, batch 12, GELU) on the
Python manual in characters; the CNN is that of `xentjax train cnn`, without dropout, on the digits.
A step is the forward pass, the cross-entropy, the backward pass and AdamW's update, in float32.
Every contestant starts from the same weights, sees the same batches, and must show the same losses
over the ten steps before it is timed.

    xentjax                  `make_step`: a scan of 10 steps a call, state donated
    nnx.jit, same model      `nnx.jit` and `nnx.Optimizer` on the very same module, a call a step
    nnx.jit, flax's layers   the same with `nnx.Linear`, `nnx.RMSNorm`, `nnx.Conv`, `jax.nn.gelu`
    torch eager              `nn.Module`, fused attention, `nn.Conv2d`, `torch.optim.AdamW`
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from flax import nnx

from bench.effort import Effort
from bench.flax_cnn import with_flax_layers
from bench.flax_gpt import FlaxGPT
from bench.flax_gpt import load_weights as load_flax_gpt
from bench.heat import Heat
from bench.lineup import Contestant, TimedLineup, ours, peer
from bench.tensors import has_torch
from bench.training_loops import (
    BETAS,
    DECAY,
    LEARNING_RATE,
    Arrays,
    Run,
    nnx_run,
    weights_of,
    xentjax_run,
)
from xentjax.data import CharTokenizer, batches, load_digits, load_manual, token_batches
from xentjax.models import CNN, GPT, CNNConfig, GPTConfig
from xentjax.timing import Plain
from xentjax.train import stack_batches

STEPS, GPT_BATCH, CNN_BATCH, SIDE = 10, 12, 64, 8
# Rounding grows with every step; after ten from equal weights it is still in the fifth digit,
# where another formula, initial value or epsilon would show in the second.
TOLERANCE = 1e-3


def heats(effort: Effort) -> Iterator[Heat]:
    del effort
    makes: dict[str, Callable[[], dict[str, Contestant]]] = {
        "digits CNN, widths 32 and 64, batch 64": cnn_lineup,
        "GPT, 4 layers, 128 wide, block 64, batch 12": gpt_lineup,
    }
    for case, make in makes.items():
        yield Heat(f"{STEPS} training steps", case, TimedLineup(make, TOLERANCE, budget=10.0))


def gpt_lineup() -> dict[str, Contestant]:
    config, data = gpt_data()
    model = make_gpt(config)
    flax = load_flax_gpt(FlaxGPT(config, rngs=nnx.Rngs(0)), weights_of(model))
    runs = {
        "nnx.jit, same model": nnx_run(make_gpt(config), data),
        "nnx.jit, flax's layers": nnx_run(flax, data),
    }
    if has_torch():
        runs["torch eager"] = torch_gpt_run(config, data)
    return contestants(xentjax_run(model, data), runs)


def cnn_lineup() -> dict[str, Contestant]:
    config, data = CNNConfig(widths=(32, 64)), cnn_data()
    runs = {
        "nnx.jit, same model": nnx_run(make_cnn(config), data),
        "nnx.jit, flax's layers": nnx_run(with_flax_layers(make_cnn(config)), data),
    }
    if has_torch():
        runs["torch eager"] = torch_cnn_run(config, data)
    return contestants(xentjax_run(make_cnn(config), data), runs)


def contestants(run: Run, others: dict[str, Run]) -> dict[str, Contestant]:
    """All as line-up; the losses of a run are one array."""
    return {
        "xentjax": ours(Plain(run), (), read=np.asarray),
        **{name: peer(Plain(other), (), read=np.asarray) for name, other in others.items()},
    }


def gpt_data(steps: int = STEPS) -> tuple[GPTConfig, Arrays]:
    """The configuration, and `steps` batches of the manual: tokens and labels [steps, B, T]."""
    text = load_manual().text
    tokenizer = CharTokenizer.train(text)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, mlp="gelu")
    source = token_batches(
        tokenizer.encode(text), length=config.block_size, batch_size=GPT_BATCH, seed=0
    )
    drawn = list(islice(source, steps))
    return config, {
        name: np.stack([batch[name] for batch in drawn]).astype(np.int32)
        for name in ("tokens", "labels")
    }


def cnn_data(steps: int = STEPS) -> Arrays:
    """Images [steps, B, 8, 8, 1] and labels [steps, B]."""
    digits = load_digits()
    images = digits.features.reshape(-1, SIDE, SIDE, 1).astype(np.float32)
    rows = {"features": images, "labels": digits.labels.astype(np.int32)}
    source = batches(rows, batch_size=CNN_BATCH, seed=0)
    return stack_batches([next(source) for _ in range(steps)])


def make_gpt(config: GPTConfig) -> GPT:
    return GPT(config, rngs=nnx.Rngs(0))


def make_cnn(config: CNNConfig) -> CNN:
    return CNN(config, rngs=nnx.Rngs(0))


def torch_gpt_run(config: GPTConfig, data: Arrays) -> Run:
    from bench.torch_gpt import TorchGPT, load_weights, torch_name

    weights = {torch_name(name): array for name, array in weights_of(make_gpt(config)).items()}
    return _torch_run(load_weights(TorchGPT(config), weights), data["tokens"], data["labels"])


def torch_cnn_run(config: CNNConfig, data: Arrays) -> Run:
    from bench.torch_cnn import TorchCNN, load_weights

    model = load_weights(TorchCNN(config), weights_of(make_cnn(config)))
    return _torch_run(model, np.moveaxis(data["features"], -1, 2).copy(), data["labels"])


def _torch_run(model: Any, inputs: np.ndarray, labels: np.ndarray) -> Run:
    from bench.torch_training import make_torch_run

    if np.issubdtype(inputs.dtype, np.integer):
        inputs = inputs.astype(np.int64)
    options: dict[str, Any] = {"betas": BETAS, "weight_decay": DECAY}
    labels = labels.astype(np.int64)
    return make_torch_run(model, inputs, labels, learning_rate=LEARNING_RATE, **options)
