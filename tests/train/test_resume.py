"""A run that was killed and resumed ends as the run left alone, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("resumable.py")
# A checkpoint of the script takes 27 events of the file system; its commit is one of the last.
EVENTS = 20


def start(directory, *options):
    """Runs the script in a process; a run's first process compiles, the others find it done."""
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(directory.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [sys.executable, "-W", "always", str(SCRIPT), str(directory), *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process):
    """(last line printed, standard error); the process must have ended as it should."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.splitlines()[-1], err


def signal_at(process, step, number):
    """Sends a signal when the record of a step is printed."""
    for line in process.stdout:
        if line.startswith("train") and int(line.split()[1]) >= step:
            process.send_signal(number)
            return process
    raise AssertionError(f"ended before step {step}: {process.stderr.read()}")


def records(directory):
    """The lines of metrics.jsonl without the time, which no two runs share."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_bit_equal(directory, alone):
    ours, theirs = (np.load(path.with_suffix(".npz")) for path in (directory, alone))
    assert sorted(ours.files) == sorted(theirs.files)
    for name in theirs.files:
        # tobytes: NaN equals itself, and -0 is not 0.
        assert ours[name].tobytes() == theirs[name].tobytes(), name
    assert records(directory) == records(alone)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run left alone, twice in one process."""
    directory = tmp_path_factory.mktemp("runs") / "alone"
    last, _ = finish(start(directory, "--twice"))
    assert last.startswith("end early stopping: 12 validations without improvement")
    assert_bit_equal(directory.with_name("alone-again"), directory)
    result = np.load(directory.with_suffix(".npz"))
    # Everything that a resume could forget is at work, and the last kill point before the end.
    assert 0 < int(result["best_step"]) < 40 < 70 < int(result["state step"]) < 100
    names = " ".join(result.files)
    assert all(part in names for part in ("norm/mean", "dropout/rngs/count", "mu/", "average/"))
    return directory


def test_a_killed_run_resumed_equals_the_run_left_alone(alone, report_figure):
    draw, killed = random.Random(0), alone.with_name("killed")
    # Whenever a record of a step drawn at random came.
    process = signal_at(start(killed), draw.randrange(8, 24), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    # While the checkpoint of step 30 is written.
    process = start(killed, "--kill", 30, draw.randrange(2, EVENTS))
    assert "killed at event" in process.communicate()[0]
    # Between the write of that of step 40 and its commit.
    process = start(killed, "--kill", 40, "commit")
    out, err = process.communicate()
    assert "killed at event" in out
    assert "30.orbax-checkpoint-tmp is not used: its write was not finished" in err
    # Asked to go, it leaves a checkpoint and status 0.
    last, err = finish(signal_at(start(killed), draw.randrange(44, 60), signal.SIGTERM))
    assert last == "end terminated by SIGTERM; resume to go on"
    assert "40.orbax-checkpoint-tmp is not used: its write was not finished" in err
    step = records(killed)[-1]["step"]
    assert (killed / "checkpoints" / str(step)).is_dir()
    finish(start(killed))
    assert_bit_equal(killed, alone)
    report_figure(
        "resume: 3 kill points (after a record, during a checkpoint's write, between its write "
        "and its commit) and one SIGTERM, all bit-equal to the run left alone"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_more_kill_points_in_one_run(alone, seed, report_figure):
    draw, killed = random.Random(seed + 1), alone.with_name(f"killed-{seed}")
    for checkpoint in (4, 20, 40, 60):
        process = signal_at(start(killed), checkpoint + draw.randrange(4, 8), signal.SIGKILL)
        process.communicate()
        event = draw.choice([draw.randrange(1, EVENTS), "commit"])
        process = start(killed, "--kill", checkpoint + 10 if checkpoint > 4 else 10, event)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish(start(killed))
    assert_bit_equal(killed, alone)
    report_figure(f"resume, seed {seed}: 8 kill points, all bit-equal")
