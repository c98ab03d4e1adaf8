"""TensorBoard files hold the records; without tensorboardX the extra is named."""

import struct
import sys

import pytest

from xentjax.train import Record, TensorBoardLogger

RECORDS = [
    Record(0, "validation", 2.5, 0.1, None, 0.5, 0),
    Record(10, "train", 2.0, 0.3, 1e-3, 1.0, 640, 0.7, 1),
]


def events(folder):
    """(step, tag, value) of every scalar in the one event file of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        data = data[12 + length + 4 :]
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_figure_of_a_record_is_a_scalar_at_its_step(tmp_path):
    pytest.importorskip("tensorboardX", reason="needs the extra log")
    with TensorBoardLogger(tmp_path / "new") as log:
        for record in RECORDS:
            log(record)
    found = {(step, tag): value for step, tag, value in events(tmp_path / "new")}
    assert found == {
        (0, "loss/validation"): 2.5,
        (0, "accuracy/validation"): pytest.approx(0.1),
        (10, "loss/train"): 2.0,
        (10, "accuracy/train"): pytest.approx(0.3),
        (10, "learning_rate"): pytest.approx(1e-3),
        (10, "grad_norm"): pytest.approx(0.7),
        (10, "skipped"): 1.0,
    }


def test_a_missing_tensorboardx_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "xentjax\[log\]"'):
        TensorBoardLogger(tmp_path)
