"""A space draws what it says, reproducibly, and refuses what it cannot mean."""

import math

import numpy as np
import pytest

from xentjax.search.space import (
    Choice,
    Integer,
    LogUniform,
    Uniform,
    dimensions,
    grid,
    random_search,
    traced_dtype,
)


def draws(dimension, count=2000):
    rng = np.random.default_rng(0)
    return [dimension.draw(rng) for _ in range(count)]


def test_half_of_a_log_uniform_lies_below_the_geometric_middle():
    values = draws(LogUniform(1e-4, 1.0))
    # The share of n fair coins: 4 standard deviations of √(1/4n) are 0.045.
    assert abs(np.mean(np.array(values) < 1e-2) - 0.5) < 0.045
    assert min(values) >= 1e-4
    assert max(values) < 1.0


def test_a_uniform_is_uniform():
    values = np.array(draws(Uniform(-1.0, 3.0)))
    # The mean of n draws: 4 standard deviations of 4/√(12 n) are 0.1.
    assert abs(values.mean() - 1.0) < 0.11
    assert values.min() >= -1.0
    assert values.max() < 3.0


def test_an_integer_takes_both_of_its_ends_and_is_a_python_int():
    values = draws(Integer(2, 4), 100)
    assert set(values) == {2, 3, 4}
    assert {type(value) for value in values} == {int}


@pytest.mark.parametrize(
    ("values", "static"),
    [
        ((0.1, 0.2), False),
        ((16, 32), False),
        (("adam", "sgd"), True),
        ((True, False), True),
        ((None, 0.1), True),
        ((0.1, math.inf), True),
    ],
)
def test_numbers_are_traced_and_anything_else_is_static(values, static):
    assert Choice(values).static is static


def test_widths_are_static_when_asked():
    assert Choice((16, 32), static=True).static
    assert Integer(16, 32, static=True).static


@pytest.mark.parametrize(
    ("dimension", "dtype"),
    [
        (Integer(0, 3), np.int32),
        (Choice((1, 2)), np.int32),
        (Choice((1, 2.5)), np.float32),
        (Uniform(0.0, 1.0), np.float32),
    ],
)
def test_the_type_of_a_traced_value_follows_from_the_space(dimension, dtype):
    assert traced_dtype(dimension) is dtype


def test_fewer_trials_are_the_first_of_more_and_seeds_differ():
    space = {"rate": LogUniform(1e-3, 1.0), "name": ["adam", "sgd"]}
    assert random_search(space, 5, seed=3) == random_search(space, 9, seed=3)[:5]
    assert random_search(space, 5, seed=3) != random_search(space, 5, seed=4)


def test_a_grid_is_the_product_with_the_last_name_fastest():
    assert [tuple(each.values()) for each in grid({"a": Integer(1, 2), "b": ["x", "y"]})] == [
        (1, "x"),
        (1, "y"),
        (2, "x"),
        (2, "y"),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogUniform(0.0, 1.0), "LogUniform low must be positive, got 0.0"),
        (lambda: LogUniform(1.0, 0.1), "LogUniform low must be below high, got 1.0 and 0.1"),
        (lambda: Uniform(0.0, math.nan), "Uniform high must be a finite number, got nan"),
        (lambda: Uniform(1.0, 1.0), "Uniform low must be below high"),
        (lambda: Integer(3, 1), "Integer low must not exceed high, got 3 and 1"),
        (lambda: Integer(True, 1), "Integer low must be an integer of 32 bits, got True"),
        (lambda: Integer(0, 2**31), "Integer high must be an integer of 32 bits"),
        (lambda: Choice(()), "Choice values must hold at least one"),
        (lambda: Choice(("a", "b"), static=False), "cannot be traced"),
        (lambda: dimensions({}), "space must name at least one hyperparameter"),
        (lambda: dimensions({"seed": Integer(-1, 3)}), r"space\['seed'\] must hold non-negative"),
        (lambda: dimensions({"seed": Uniform(0.0, 3.0)}), "non-negative integers"),
        (lambda: dimensions({"seed": [0.5, 1]}), "non-negative integers"),
        (lambda: grid({"rate": LogUniform(1e-3, 1.0)}), "trials must be given, because"),
        (lambda: random_search({"a": [1]}, 0, seed=0), "trials must be an integer of at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_constant_in_a_space_is_refused():
    with pytest.raises(TypeError, match="a constant belongs into the trial function"):
        dimensions({"name": "adam"})


def test_a_name_is_not_a_choice_of_its_letters():
    with pytest.raises(TypeError, match="Choice values must be a list or a tuple, got 'adam'"):
        Choice("adam")
