"""Search spaces: what each hyperparameter may be, and the configurations drawn from it.

A *traced* hyperparameter (a learning rate, a seed) is a number that one compiled program takes as
an argument, so trials that differ in it are trained together. A *static* one (a width, the name of
an optimizer) shapes the program; every combination of static values compiles once.
"""

import dataclasses
import itertools
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

Hyperparameters: TypeAlias = Mapping[str, Any]


@runtime_checkable
class Dimension(Protocol):
    """One hyperparameter's values; any class with these two members is one."""

    @property
    def static(self) -> bool | None:
        """Whether the value shapes the program and cannot be traced."""
        ...

    def draw(self, rng: np.random.Generator) -> Any:
        """Returns a random value."""
        ...


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A float whose logarithm is uniform: learning rates, weight decays.

    Half of the draws lie below √(low · high).

    Attributes:
        low: positive.
        high: above low.

    Example:
        >>> round(LogUniform(1e-4, 1.0).draw(np.random.default_rng(0)), 4)  # 10^(−4 + 4·0.637)
        0.0353
    """

    low: float
    high: float

    @property
    def static(self) -> bool:
        """False: a float is traced."""
        return False

    def __post_init__(self) -> None:
        _check_range(self)
        if self.low <= 0:
            raise ValueError(
                f"LogUniform low must be positive, got {self.low}; for a range with 0 use Uniform"
            )

    def draw(self, rng: np.random.Generator) -> float:
        """Returns exp(u), u uniform on [log low, log high)."""
        return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A float, uniform on [low, high): dropout rates, label smoothing.

    Attributes:
        low: finite.
        high: above low.

    Example:
        >>> round(Uniform(0.0, 0.5).draw(np.random.default_rng(0)), 3)
        0.318
    """

    low: float
    high: float

    @property
    def static(self) -> bool:
        """False: a float is traced."""
        return False

    def __post_init__(self) -> None:
        _check_range(self)

    def draw(self, rng: np.random.Generator) -> float:
        """Returns a value in [low, high)."""
        return float(rng.uniform(self.low, self.high))


@dataclasses.dataclass(frozen=True)
class Integer:
    """An integer, each of low … high equally likely, both included: seeds; widths with static=True.

    Attributes:
        low: the least.
        high: the greatest, in the range of int32.
        static: compile once for each value, as a width wants.

    Example:
        >>> sorted({Integer(1, 3).draw(np.random.default_rng(seed)) for seed in range(20)})
        [1, 2, 3]
    """

    low: int
    high: int
    static: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if not _is_integer(value) or not -(2**31) <= value < 2**31:
                raise ValueError(f"Integer {name} must be an integer of 32 bits, got {value!r}")
        if not self.low <= self.high:
            raise ValueError(f"Integer low must not exceed high, got {self.low} and {self.high}")

    def draw(self, rng: np.random.Generator) -> int:
        """Returns one of low … high."""
        return int(rng.integers(self.low, self.high, endpoint=True))


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values, all equally likely; a plain list in a space means the same.

    Attributes:
        values: at least one.
        static: by default False where all values are numbers, which are traced then, and True for
            anything else: names, booleans, None. True for numbers that shape arrays.

    Example:
        >>> Choice((0.9, 0.99)).static, Choice(("adam", "sgd")).static
        (False, True)
    """

    values: Sequence[Any]
    static: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or not isinstance(self.values, Sequence):
            raise TypeError(
                f"Choice values must be a list or a tuple, got {self.values!r}; a single value "
                "belongs into the trial function"
            )
        if not self.values:
            raise ValueError("Choice values must hold at least one value, got none")
        numeric = all(_is_number(value) for value in self.values)
        if self.static is False and not numeric:
            raise ValueError(
                f"Choice values {list(self.values)} cannot be traced, for not all of them are "
                "finite numbers; leave static=False out"
            )
        object.__setattr__(self, "values", tuple(self.values))
        object.__setattr__(self, "static", not numeric if self.static is None else self.static)

    def draw(self, rng: np.random.Generator) -> Any:
        """Returns one of the values."""
        return self.values[int(rng.integers(len(self.values)))]


Space: TypeAlias = Mapping[str, Dimension | Sequence[Any]]


def dimensions(space: Space) -> dict[str, Dimension]:
    """The space with each list made a `Choice`.

    Raises:
        TypeError: for anything else in it.
        ValueError: if it is empty, or a seed in it may be negative or is not an integer.
    """
    if not space:
        raise ValueError("space must name at least one hyperparameter, got none")
    found: dict[str, Dimension] = {}
    for name, given in space.items():
        if isinstance(given, Dimension):
            found[name] = given
        elif isinstance(given, list | tuple):
            found[name] = Choice(given)
        else:
            raise TypeError(
                f"space[{name!r}] must be LogUniform, Uniform, Integer, Choice or a list of "
                f"values, got {given!r}; a constant belongs into the trial function"
            )
    if "seed" in found:
        _check_seeds(found["seed"])
    return found


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination of the values of a space, the last name varying fastest.

    Prefer it for two hyperparameters at most: with more, random search covers each of them better.

    Args:
        space: name → `Choice`, list, or `Integer`.

    Returns:
        Configurations, one dictionary each.

    Raises:
        ValueError: if a range of floats is in it, which has no end.

    Example:
        >>> grid({"b1": [0.9, 0.95], "name": ["adam"]})
        [{'b1': 0.9, 'name': 'adam'}, {'b1': 0.95, 'name': 'adam'}]
    """
    axes = {name: _listed(name, each) for name, each in dimensions(space).items()}
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def random_search(space: Space, trials: int, *, seed: int) -> list[dict[str, Any]]:
    """Independent draws from a space.

    Prefer it where more than two hyperparameters vary and few of them matter: n draws try n values
    of each.

    Args:
        space: name → dimension or list.
        trials: how many.
        seed: non-negative. Fewer trials with the same seed are the first of more.

    Returns:
        Configurations, one dictionary each.

    Example:
        >>> [draw["seed"] for draw in random_search({"seed": Integer(0, 9)}, 3, seed=0)]
        [8, 5, 9]

    Reference:
        J. Bergstra and Y. Bengio, "Random Search for Hyper-Parameter Optimization", 2012.
    """
    if not _is_integer(trials) or trials < 1:
        raise ValueError(f"trials must be an integer of at least 1, got {trials!r}")
    axes = dimensions(space)
    # A generator for each trial, so that its draws do not depend on how many came before.
    rngs = [np.random.default_rng((seed, number)) for number in range(trials)]
    return [{name: each.draw(rng) for name, each in axes.items()} for rng in rngs]


def traced_dtype(dimension: Dimension) -> Any:
    """int32 where a traced hyperparameter can only be an integer, float32 otherwise."""
    values = dimension.values if isinstance(dimension, Choice) else [0.5]
    integers = isinstance(dimension, Integer) or all(map(_is_integer, values))
    return np.int32 if integers else np.float32


def _listed(name: str, dimension: Dimension) -> Sequence[Any]:
    if isinstance(dimension, Choice):
        return dimension.values
    if isinstance(dimension, Integer):
        return range(dimension.low, dimension.high + 1)
    raise ValueError(
        f"trials must be given, because space[{name!r}] is {dimension}, of which a grid has no "
        "end; give trials=32, or a list of values"
    )


def _check_seeds(seeds: Dimension) -> None:
    # The batches of a trial are drawn on the host, where the seed must be an integer.
    least = seeds.low if isinstance(seeds, Integer) else 0
    if isinstance(seeds, Choice):
        least = min(v if _is_integer(v) else -1 for v in seeds.values)
    if isinstance(seeds, LogUniform | Uniform) or least < 0:
        raise ValueError(f"space['seed'] must hold non-negative integers, got {seeds}")


def _check_range(dimension: LogUniform | Uniform) -> None:
    kind = type(dimension).__name__
    for name in ("low", "high"):
        if not _is_number(getattr(dimension, name)):
            raise ValueError(
                f"{kind} {name} must be a finite number, got {getattr(dimension, name)!r}"
            )
    if not dimension.low < dimension.high:
        raise ValueError(f"{kind} low must be below high, got {dimension.low} and {dimension.high}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
