"""The numbers that optimizers and schedules take, and the ranges they must lie in.

A number is checked when it is known. A schedule, and a traced scalar in a sweep, is not known
until the program runs, so it passes.
"""

import math
from typing import Any, TypeAlias

import jax
import jax.core

Scalar: TypeAlias = int | float | jax.Array  # an array so that a sweep may trace it


def is_known(value: Any) -> bool:
    """Whether the value is a number now: neither a schedule nor traced.

    Example:
        >>> is_known(0.1), is_known(lambda step: 0.1)
        (True, False)
    """
    return not callable(value) and not isinstance(value, jax.core.Tracer)


def check_positive(**values: Any) -> None:
    """Raise unless each number is above 0 and finite.

    Raises:
        ValueError: naming the argument and what it was.

    Example:
        >>> check_positive(eps=0.0)
        Traceback (most recent call last):
        ValueError: eps must be a positive finite number, got 0.0
    """
    for name, value in values.items():
        if is_known(value) and not 0 < value < math.inf:
            raise ValueError(f"{name} must be a positive finite number, got {value}")


def check_not_negative(**values: Any) -> None:
    """Raise unless each number is 0 or more and finite.

    Raises:
        ValueError: naming the argument and what it was.

    Example:
        >>> check_not_negative(weight_decay=-1)
        Traceback (most recent call last):
        ValueError: weight_decay must be finite and not negative, got -1
    """
    for name, value in values.items():
        if is_known(value) and not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and not negative, got {value}")


def check_unit(**values: Any) -> None:
    """Raise unless each number is in [0, 1).

    Raises:
        ValueError: naming the argument and what it was.

    Example:
        >>> check_unit(b1=1.0)
        Traceback (most recent call last):
        ValueError: b1 must be in [0, 1), got 1.0
    """
    for name, value in values.items():
        if is_known(value) and not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), got {value}")


def check_share(**values: Any) -> None:
    """Raise unless each number is in (0, 1].

    Raises:
        ValueError: naming the argument and what it was.

    Example:
        >>> check_share(decay=0.0)
        Traceback (most recent call last):
        ValueError: decay must be in (0, 1], got 0.0
    """
    for name, value in values.items():
        if is_known(value) and not 0 < value <= 1:
            raise ValueError(f"{name} must be in (0, 1], got {value}")


def check_count(least: int, **counts: Any) -> None:
    """Raise unless each is a whole number of at least `least`.

    Raises:
        ValueError: naming the argument and what it was.

    Example:
        >>> check_count(1, every=0.5)
        Traceback (most recent call last):
        ValueError: every must be a whole number, 1 or more, got 0.5
    """
    for name, count in counts.items():
        if not least <= count < math.inf or int(count) != count:
            raise ValueError(f"{name} must be a whole number, {least} or more, got {count}")
