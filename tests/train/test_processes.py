"""Two real processes that share a training end as one does, also across a resume."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.train import one_of_several
from xentjax.train.processes import shared_clock, shared_interruption

HERE = Path(__file__).parent
SECONDS = 240


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_processes(job, *, processes=2, devices=2):
    """Runs the script in several processes; what they said is shown if one fails or hangs."""
    coordinator = f"127.0.0.1:{free_port()}"
    script = [sys.executable, "-W", "ignore", str(HERE / "one_of_several.py"), coordinator]
    outputs = [open(f"{job['numbers']}.{i}.txt", "w+") for i in range(processes)]  # noqa: SIM115
    children = [
        subprocess.Popen(
            [*script, str(processes), str(i), str(devices), json.dumps(job)],
            stdout=outputs[i],
            stderr=subprocess.STDOUT,
            cwd=HERE.parent.parent,
            start_new_session=True,
        )
        for i in range(processes)
    ]
    try:
        deadline = time.monotonic() + SECONDS
        # One that failed leaves the others waiting: look at all of them.
        while any(child.poll() is None for child in children) and time.monotonic() < deadline:
            if any(child.poll() for child in children):
                break
            time.sleep(0.1)
        codes = [child.poll() for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
        said = []
        for output in outputs:
            output.seek(0)
            said.append(output.read()[-4000:])
            output.close()
    if codes != [0] * processes:
        pytest.fail(f"exit codes {codes}\n" + "\n--- next process\n".join(said), pytrace=False)
    with np.load(f"{job['numbers']}.npz") as found:
        return dict(found)


def one_process(directory, steps):
    """The same in this process, on its eight devices."""
    return one_of_several.numbers(one_of_several.train(directory, steps))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return one_process(tmp_path_factory.mktemp("alone"), 8)


def assert_same(resumed, alone):
    assert len(resumed["validation"]) == 1, "it did not go on from step 4 but began anew"
    # Eight steps of sums rounded in another order, of numbers below 4.
    tolerance = 4 * 8 * 16 * np.finfo(np.float32).eps
    for name, wanted in {**alone, "validation": alone["validation"][-1:]}.items():
        np.testing.assert_allclose(resumed[name], wanted, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.slow
def test_a_sigterm_to_one_of_two_processes_stops_both_and_one_process_with_eight_devices_goes_on(
    tmp_path, alone
):
    directory = tmp_path / "checkpoints"
    job = {"directory": str(directory), "steps": 8, "numbers": str(tmp_path / "two")}
    stopped = run_processes({**job, "terminate": 2})
    assert stopped["reason"] == "process 1 was told to stop; resume to go on"
    assert (stopped["step"], stopped["items"]) == (4, 4 * 16 * 6)
    np.testing.assert_allclose(stopped["validation"], alone["validation"][:2], rtol=1e-5)
    assert_same(one_process(directory, 8), alone)


@pytest.mark.slow
def test_two_processes_go_on_where_one_process_with_eight_devices_stopped(tmp_path, alone):
    directory, again = tmp_path / "checkpoints", tmp_path / "again"
    one_process(directory, 4)
    shutil.copytree(directory, again)
    job = {"directory": str(directory), "steps": 8, "numbers": str(tmp_path / "two")}
    ours = run_processes(job)
    assert ours.pop("reason") == "all steps taken"
    assert_same(ours, alone)
    # On the same devices even the last bit is the same.
    for name, array in one_process(again, 8).items():
        if name != "validation":
            assert array.tobytes() == alone[name].tobytes(), name


def test_one_process_keeps_its_own_clock_and_reasons():
    assert shared_clock(lambda: 3.0)() == 3.0
    reasons = iter([None, "told"])
    interrupted = shared_interruption(lambda: next(reasons))
    assert [interrupted(), interrupted()] == [None, "told"]
