"""A study is asked for a batch, told every loss once, and told infinity for what diverged."""

import math
import types

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.losses.regression import squared_error
from xentjax.search.optuna_search import search_with_study
from xentjax.search.space import Choice, Integer, LogUniform, Uniform
from xentjax.search.sweep_result import SweepResult, SweepRow, ranked
from xentjax.search.sweeping import sweep
from xentjax.search.trials import Trial
from xentjax.train import from_apply, supervised

SPACE = {
    "rate": LogUniform(1e-3, 1.0),
    "b1": Uniform(0.5, 0.9),
    "layers": Integer(1, 3),
    "name": Choice(("adam", "sgd")),
}


class FakeTrial:
    def __init__(self, number):
        self.number, self.asked = number, []

    def suggest_float(self, name, low, high, *, log=False):
        self.asked.append((name, low, high, log))
        return low * 2**self.number

    def suggest_int(self, name, low, high):
        self.asked.append((name, low, high))
        return low

    def suggest_categorical(self, name, choices):
        self.asked.append((name, choices))
        return choices[0]


class FakeStudy:
    """The part of optuna.Study that ask-and-tell uses."""

    def __init__(self, direction="MINIMIZE"):
        self.direction = types.SimpleNamespace(name=direction)
        self.trials, self.told = [], {}

    def ask(self):
        self.trials.append(FakeTrial(len(self.trials)))
        return self.trials[-1]

    def tell(self, trial, values):
        assert trial.number not in self.told
        self.told[trial.number] = values


def losses_of_rates(configurations):
    """The loss of a trial is its rate; above 0.01 it diverges."""
    rows = [
        SweepRow(number, h, h["rate"], None, h["rate"], 0, 1, diverged=h["rate"] > 0.01)
        for number, h in enumerate(configurations)
    ]
    return SweepResult(ranked(rows), (), 0.0)


def test_each_trial_is_asked_by_its_dimensions_and_told_its_own_loss():
    study = FakeStudy()
    results = search_with_study(study, SPACE, losses_of_rates, trials=5, together=2)
    assert [len(result.rows) for result in results] == [2, 2, 1]
    assert study.trials[0].asked == [
        ("rate", 1e-3, 1.0, True),
        ("b1", 0.5, 0.9, False),
        ("layers", 1, 3),
        ("name", ["adam", "sgd"]),
    ]
    assert study.told == {0: 0.001, 1: 0.002, 2: 0.004, 3: 0.008, 4: math.inf}


def test_a_sweep_trains_what_a_study_proposes():
    rows = {"x": np.ones(4, np.float32), "labels": np.ones(4, np.float32)}

    def trial(h):
        model = from_apply(lambda w, x: w * x, jnp.float32(0.0))
        return Trial(model, optax.sgd(h["rate"]), supervised(squared_error))

    space, study = {"rate": LogUniform(0.1, 1.0)}, FakeStudy()
    search_with_study(
        study,
        space,
        lambda h: sweep(trial, rows, space, validation=rows, steps=1, batch_size=4, trials=h),
        trials=3,
        together=3,
    )
    # (1 − 2η)² for η = 0.1, 0.2, 0.4, in float32.
    for number, wanted in enumerate([0.64, 0.36, 0.04]):
        assert abs(study.told[number] - wanted) < 4 * np.finfo(np.float32).eps


@pytest.mark.parametrize(
    ("study", "options", "error", "message"),
    [
        (FakeStudy("MAXIMIZE"), {}, ValueError, "study must minimize"),
        (FakeStudy(), {"trials": 0}, ValueError, "trials must be at least 1, got 0"),
        (FakeStudy(), {"together": 0}, ValueError, "together must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_searched_is_refused(study, options, error, message):
    with pytest.raises(error, match=message):
        search_with_study(study, SPACE, losses_of_rates, **{"trials": 2, **options})


def test_a_dimension_of_ones_own_is_refused():
    class Mine:
        static = False

        def draw(self, rng):
            return rng.normal()

    with pytest.raises(TypeError, match=r"space\['rate'\] must be LogUniform.*got Mine"):
        search_with_study(FakeStudy(), {"rate": Mine()}, losses_of_rates, trials=1)


def test_optuna_itself_speaks_the_protocol():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="minimize", sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True)
    )
    search_with_study(study, SPACE, losses_of_rates, trials=6, together=3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6
    for trial in study.trials:
        rate = trial.params["rate"]
        assert trial.value == (rate if rate <= 0.01 else math.inf)
