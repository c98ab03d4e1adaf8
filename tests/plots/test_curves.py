"""The picture is drawn from the records, and a missing matplotlib is named."""

import sys

import pytest

from xentjax.plots.canvas import require_matplotlib
from xentjax.plots.curves import Curves, draw_curves
from xentjax.train import Record


def make_records(accuracy):
    return [
        Record(
            step=step,
            split=split,
            loss_nats=3.0 / (1 + step),
            accuracy=accuracy,
            learning_rate=None if step == 0 else 0.1,
            seconds=1.0,
            items=step,
        )
        for step in range(4)
        for split in ("train", "validation")
    ]


def test_points_leave_out_what_is_not_known():
    curves = Curves("", make_records(accuracy=None))
    assert curves.points("validation", "accuracy") == ([], [])
    assert curves.points("train", "learning_rate") == ([1, 2, 3], [0.1, 0.1, 0.1])
    assert curves.points("validation", "loss_nats")[1][:2] == [3.0, 1.5]


@pytest.mark.parametrize("accuracy", [0.5, None])
@pytest.mark.parametrize("log_loss", [False, True])
def test_a_picture_is_written_for_any_records(tmp_path, accuracy, log_loss):
    path = tmp_path / "curves.png"
    draw_curves(
        [Curves("a", make_records(accuracy)), Curves("b", make_records(accuracy))],
        path,
        title="two seeds",
        reference=("unigram entropy", 2.0),
        log_loss=log_loss,
    )
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "xentjax\[plot\]"'):
        require_matplotlib()
