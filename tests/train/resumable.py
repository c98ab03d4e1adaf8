"""A small training with everything a resume must restore, run by test_resume.py in processes.

    python resumable.py DIRECTORY [--kill STEP EVENT] [--twice]

trains on from the newest checkpoint in DIRECTORY, or from the beginning, and leaves DIRECTORY.npz.
With --kill it SIGKILLs itself at a file-system event of the checkpoint of STEP: the EVENTth one, or
"commit": when all is written, and the rename that makes it a checkpoint is not done. With --twice
it trains a second time, from the beginning, in the same process.
"""

import argparse
import functools
import os
import signal
import sys
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from xentjax import optim
from xentjax.data.batches import batches
from xentjax.models.dropout import Dropout
from xentjax.train import (
    EarlyStopping,
    TrainState,
    cross_entropy,
    make_evaluate,
    make_step,
    padded_batches,
    train_loop,
)
from xentjax.train.leaves import to_arrays
from xentjax.train.session import open_session

STEPS, EVERY = 200, 10
RATE = 0.01


class Model(nnx.Module):
    """Batch statistics and dropout's counters are what a resume forgets first."""

    def __init__(self, *, rngs):
        self.first = nnx.Linear(6, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, momentum=0.9, rngs=rngs)
        self.dropout = Dropout(0.3, rngs=rngs)
        self.head = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(jax.nn.relu(self.norm(self.first(x)))))


def train(directory: Path) -> dict[str, np.ndarray]:
    """Trains on or from the beginning, and returns what must be equal bit for bit."""
    split = functools.partial(rows, np.random.default_rng(0))
    training, held_out = split(40), padded_batches(split(20), batch_size=20)
    optimizer = optim.ema(optim.adam(RATE), decay=0.8)
    evaluate = make_evaluate(cross_entropy())
    state = TrainState.create(Model(rngs=nnx.Rngs(1)), optimizer, key=jax.random.key(2))
    config = {"rate": RATE, "steps": STEPS}
    with open_session(directory, state, every=EVERY, resume=True, config=config) as session:

        def show(record):
            session.log(record)
            print(f"{record.split} {record.step}", flush=True)

        result = train_loop(
            session.state,
            make_step(cross_entropy(), optimizer, learning_rate=RATE),
            batches(training, batch_size=8, seed=3),
            steps=STEPS,
            steps_per_call=4,
            validate=lambda state: evaluate(state, held_out),
            validate_every=4,
            stop=[EarlyStopping(patience=12)],
            checkpoints=session.checkpoints,
            resumed=session.resumed,
            interrupted=session.interrupted,
            on_record=show,
        )
    print(f"end {result.reason}", flush=True)
    best = {"best_step": result.best_step, "best_nats": result.best_validation_nats}
    items = result.records[-1].items
    return {
        **{f"state {name}": np.asarray(leaf) for name, leaf in to_arrays(result.state).items()},
        **{f"best {name}": np.asarray(leaf) for name, leaf in to_arrays(result.best).items()},
        **{name: np.asarray(value) for name, value in best.items()},
        "items": np.asarray(items),
        "reason": np.asarray(result.reason),
    }


def rows(random, count):
    features = random.normal(size=(count, 6)).astype(np.float32)
    noise = random.normal(size=(count, 3))
    return {"features": features, "labels": np.argmax(features[:, :3] + noise, 1).astype(np.int32)}


def kill_at(step: str, event: str) -> None:
    """Has this process killed at an event of the checkpoint of a step; see the audit events."""
    seen = []

    def look(name, arguments):
        if not name.startswith(("os.", "open", "shutil.")):
            return
        paths = [os.fspath(a) for a in arguments if isinstance(a, str | os.PathLike)]
        if not any(f"/{step}.orbax-checkpoint-tmp" in str(path) for path in paths):
            return
        seen.append(name)
        commits = name == "os.rename" and str(paths[-1]).endswith(f"/{step}")
        if commits or str(len(seen)) == event:
            print(f"killed at event {len(seen)}, {name}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kill", nargs=2, metavar=("STEP", "EVENT"))
    parser.add_argument("--twice", action="store_true")
    options = parser.parse_args()
    if options.kill:
        kill_at(*options.kill)
    np.savez(options.directory.with_suffix(".npz"), **train(options.directory))
    if options.twice:
        again = options.directory.with_name(options.directory.name + "-again")
        np.savez(again.with_suffix(".npz"), **train(again))


if __name__ == "__main__":
    main()
