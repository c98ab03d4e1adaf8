"""Pictures of membership attacks are drawn whatever the attack came to."""

import io

import numpy as np
import pytest

from xentjax.audit.membership import loss_threshold_attack, membership_attack

pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")

from xentjax.plots.membership import draw_membership_roc, draw_membership_scores


def attack(shift, count=300):
    rng = np.random.default_rng(0)
    members = np.arange(2 * count) < count
    return membership_attack(rng.normal(size=2 * count) + shift * members, members)


CASES = {
    "some": attack(1.0),
    "perfect": attack(50.0, 5),
    "hopeless": attack(-50.0, 5),
    "constant": loss_threshold_attack(np.zeros(4), np.zeros(3)),
    "infinite": loss_threshold_attack(np.zeros(4), np.array([1.0, np.inf])),
    "all infinite": loss_threshold_attack(np.full(2, np.inf), np.full(3, np.inf)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_attack_has_a_picture(case):
    for draw, record in (
        (draw_membership_roc, {"attack": CASES[case], "null": attack(0.0)}),
        (draw_membership_scores, CASES[case]),
    ):
        file = io.BytesIO()
        draw(record, file)
        assert b"<svg" in file.getvalue()


def test_a_path_gets_the_format_of_its_suffix(tmp_path):
    draw_membership_roc({"attack": CASES["some"]}, tmp_path / "roc.png")
    assert (tmp_path / "roc.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("count", [0, 5])
def test_no_attacks_and_too_many_are_refused(count):
    with pytest.raises(ValueError, match=f"attacks must be 1 to 4, got {count}"):
        draw_membership_roc({str(n): CASES["some"] for n in range(count)}, io.BytesIO())
