"""What a checkpoint keeps of a history is what the loop needs, and no rule is handed another's."""

import json
import math

from xentjax.train import EarlyStopping, Plateau, TimeBudget
from xentjax.train.history import Progress


def saved(stop, memories, reason=None):
    progress = Progress(7, 1.5, 1, (0.25, 40), tuple(memories), {"next_index": 3}, reason)
    return json.loads(json.dumps(progress.to_json(stop), allow_nan=False))


def test_progress_survives_json_infinities_and_nan_included():
    stop = [EarlyStopping(), Plateau(), TimeBudget(9.0)]
    memories = [(math.inf, 0.0, 2.0), (0.1, 0.3, 4.0), ()]
    progress = Progress.from_json(saved(stop, memories, "early stopping: …"), stop)
    assert progress == Progress(
        7, 1.5, 1, (0.25, 40), tuple(memories), {"next_index": 3}, "early stopping: …"
    )
    (nan,) = Progress.from_json(saved([Plateau()], [(math.nan, 1.0, 0.0)]), [Plateau()]).memories
    assert math.isnan(nan[0])


def test_rules_get_their_own_memory_whatever_their_order_and_number():
    before = [EarlyStopping(3), Plateau(), EarlyStopping(9)]
    memories = [(1.0, 10.0, 0.0), (0.5, 0.5, 1.0), (2.0, 20.0, 0.0)]
    after = [Plateau(), EarlyStopping(3), TimeBudget(1.0), EarlyStopping(9)]
    progress = Progress.from_json(saved(before, memories), after)
    assert progress.memories == (memories[1], memories[0], (), memories[2])


def test_what_other_rules_said_no_longer_holds():
    kept = saved([EarlyStopping(3)], [(1.0, 10.0, 3.0)], "early stopping: …")
    assert Progress.from_json(kept, [EarlyStopping(3)]).reason == "early stopping: …"
    more_patient = Progress.from_json(kept, [EarlyStopping(9)])
    assert (more_patient.reason, more_patient.memories) == (None, ((1.0, 10.0, 3.0),))


def test_a_rule_that_is_new_begins_anew():
    progress = Progress.from_json(saved([Plateau()], [(0.5, 0.5, 1.0)]), [EarlyStopping()])
    assert progress.memories == (EarlyStopping().start(),)
