"""One process of a training, run by test_processes.py: trains, evaluates, keeps checkpoints.

    python one_of_several.py COORDINATOR PROCESSES PROCESS DEVICES JOB

JOB is JSON: the directory of checkpoints, the step to end at, a file for the numbers, and maybe the
call in which the last process gets a SIGTERM.
"""

import functools
import itertools
import json
import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from xentjax import sharded_linear_cross_entropy
from xentjax.data.batches import batches
from xentjax.train import (
    TrainState,
    cross_entropy,
    make_evaluate,
    make_step,
    padded_batches,
    train_loop,
)
from xentjax.train.checkpoint import Checkpoints
from xentjax.train.processes import shared_clock, shared_interruption
from xentjax.train.sharded_batches import place_batch
from xentjax.train.sharding import place_state
from xentjax.train.signals import terminations

VOCABULARY, WIDTH, EVERY = 32, 16, 4
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, VOCABULARY, (56, 6)).astype(np.int32)
LABELS = RNG.integers(0, VOCABULARY, (56, 6)).astype(np.int32)
OPTIMIZER = optax.sgd(0.5, momentum=0.9)


class Bigram(nnx.Module):
    """The smallest model with hidden states and a head that is tied."""

    def __init__(self, rngs):
        self.embedding = nnx.Param(0.3 * jax.random.normal(rngs.params(), (VOCABULARY, WIDTH)))
        self.linear = nnx.Linear(WIDTH, WIDTH, rngs=rngs)

    def hidden(self, tokens):
        return jnp.tanh(self.linear(self.embedding[...][tokens]))

    @property
    def head_weight(self):
        return self.embedding[...].T


@functools.cache
def programs():
    """The mesh of all devices of all processes, the placed data and what is compiled for them."""
    mesh = jax.make_mesh(
        (jax.device_count() // 2, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2
    )
    loss = functools.partial(
        sharded_linear_cross_entropy, mesh=mesh, data_axes="data", vocab_axis_name="model"
    )
    objective = cross_entropy(fused=True, linear_loss=loss)
    place = functools.partial(place_batch, mesh=mesh)
    # 21 sequences in batches of 16: the last is padded.
    held_out = {"tokens": TOKENS[:21], "labels": LABELS[:21], "where": np.ones((21, 6), bool)}
    held_out = [place(batch, batch_axis=0) for batch in padded_batches(held_out, batch_size=16)]
    evaluate = make_evaluate(objective)
    step = make_step(objective, OPTIMIZER, accumulate=2)
    return mesh, place, step, lambda state: evaluate(state, held_out)


def train(directory, steps, *, interrupted=lambda: None):
    """Trains from the newest checkpoint on, by however many devices and processes there are."""
    mesh, place, step, validate = programs()
    state = TrainState.create(Bigram(nnx.Rngs(0)), OPTIMIZER, key=jax.random.key(0))
    state = place_state(state, mesh, shard_axes="data", specs={"embedding": P("model")}, min_size=0)
    with Checkpoints(directory, every=EVERY) as checkpoints:
        resumed = None
        if (restored := checkpoints.restore(state)) is not None:
            state = restored.state
            resumed = (restored.progress, checkpoints.restore_best(state))
        result = train_loop(
            state,
            step,
            batches({"tokens": TOKENS, "labels": LABELS}, batch_size=16, seed=3),
            steps=steps,
            steps_per_call=2,
            validate=validate,
            validate_every=EVERY,
            checkpoints=checkpoints,
            resumed=resumed,
            place=place,
            clock=shared_clock(),
            interrupted=shared_interruption(interrupted),
        )
    return result


def numbers(result):
    """What two runs are compared by, whole on this process."""
    whole = jax.sharding.NamedSharding(programs()[0], P())
    gather = jax.jit(lambda tree: tree, out_shardings=whole)
    leaves = jax.tree.leaves(gather((result.state.params, result.state.opt_state)))
    losses = [record.loss_nats for record in result.records if record.split == "validation"]
    return {
        **{f"leaf {i}": np.asarray(leaf) for i, leaf in enumerate(leaves)},
        "validation": np.array(losses),
        "items": np.array(result.records[-1].items),
        "step": np.array(int(result.state.step)),
    }


def end_at_call(call, interrupted, calls=itertools.count(1)):  # noqa: B008
    """The last process, and no other, gets a SIGTERM in this call."""
    if next(calls) == call and jax.process_index() == jax.process_count() - 1:
        signal.raise_signal(signal.SIGTERM)
    return interrupted()


def main():
    coordinator, processes, process, devices, job = sys.argv[1:]
    jax.config.update("jax_num_cpu_devices", int(devices))
    jax.distributed.initialize(coordinator, int(processes), int(process), initialization_timeout=60)
    job = json.loads(job)
    with terminations() as interrupted:
        result = train(
            job["directory"],
            job["steps"],
            interrupted=functools.partial(end_at_call, job.get("terminate"), interrupted),
        )
    found = numbers(result)
    if jax.process_index() == 0:
        np.savez(job["numbers"], reason=result.reason, **found)


if __name__ == "__main__":
    main()
