"""Given arrays: what a caller hands over, read once and checked at the door.

Every public function of the audit takes lists, NumPy and JAX arrays and pandas columns alike, and
reads them here. What does not fit is refused by the name of its argument: a dtype by TypeError,
shapes and values by ValueError. Labels and tokens are integers: floats are refused even where they
are whole, for a column of floats is more often a score, or held missing values once, than a class.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

# Loose on purpose: what does not fit is refused below, in words.
Given: TypeAlias = ArrayLike | Sequence[Any]


def array_of(values: Given, name: str) -> np.ndarray:
    """The values as an array of real numbers or booleans, in their own dtype.

    Raises:
        TypeError: they are something else.
        ValueError: rows are of different lengths.

    Example:
        >>> array_of([[1, 2], [3, 4]], "features").shape
        (2, 2)
    """
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be rows of one shape: {error}") from error
    if found.dtype != bool and (
        not jnp.issubdtype(found.dtype, jnp.number)
        or jnp.issubdtype(found.dtype, jnp.complexfloating)
    ):
        raise TypeError(
            f"{name} must hold real numbers, got {found.dtype}; give names and categories numbers "
            "first (np.unique with return_inverse) and fill in or leave out what is missing"
        )
    return found


def finite_of(
    values: Given,
    name: str,
    axes: str,
    shape: tuple[int, ...] | None = None,
    *,
    infinite: bool = False,
) -> np.ndarray:
    """Finite numbers in float64, at least one.

    Args:
        values: what was given.
        name: of the argument.
        axes: names of its axes, such as "N C".
        shape: wanted, where another argument determines it.
        infinite: let infinities pass, of scores of which only the order counts; never a NaN.

    Raises:
        TypeError: they are no real numbers.
        ValueError: the shape does not fit, there is none, or one is not finite.

    Example:
        >>> finite_of([1, 2], "scores", "N")
        array([1., 2.])
    """
    found = _shaped(array_of(values, name), name, axes, shape).astype(np.float64)
    require_finite_rows(found, name, infinite=infinite)
    return found


def rows_of(values: Given, name: str, *, may_be_empty: bool = False) -> np.ndarray:
    """Rows of finite features [N, …] in their own dtype.

    Raises:
        TypeError: they are no real numbers.
        ValueError: there is no row where one must be, or a feature is not finite.
    """
    found = array_of(values, name)
    if found.ndim < 1 or not (may_be_empty or len(found)):
        raise ValueError(f"{name} must be [N, ...] with at least one row, got shape {found.shape}")
    require_finite_rows(found, name)
    return found


def require_finite_rows(found: np.ndarray, name: str, *, infinite: bool = False) -> None:
    """Raises ValueError naming the first number that is NaN or, unless they may be, infinite."""
    bad = np.argwhere(np.isnan(found) if infinite else ~np.isfinite(found))
    if len(bad):
        raise ValueError(
            f"{name} must be {'numbers' if infinite else 'finite'}, got {_first(found, bad)}; "
            "fill it in or leave the row out"
        )


def labels_of(
    values: Given, name: str = "labels", *, rows: int | None = None, classes: int | None = None
) -> np.ndarray:
    """Class indices, int64 [N], at least one.

    Args:
        values: what was given.
        name: of the argument.
        rows: N, where another argument determines it.
        classes: C, where it is known; labels then lie in [0, C).

    Raises:
        TypeError: they are not integers.
        ValueError: the shape does not fit, there is none, or one is out of range.

    Example:
        >>> labels_of([0, 2], classes=3)
        array([0, 2])
    """
    return integers_of(values, name, "N", None if rows is None else (rows,), below=classes)


def integers_of(
    values: Given,
    name: str,
    axes: str,
    shape: tuple[int, ...] | None = None,
    *,
    below: int | None = None,
    may_be_empty: bool = False,
) -> np.ndarray:
    """Integers in int64, at least one unless they may be none; in [0, below) where that is given.

    Raises:
        TypeError: they are not integers.
        ValueError: the shape does not fit, there is none, or one is out of range.
    """
    found = _shaped(array_of(values, name), name, axes, shape, may_be_empty=may_be_empty)
    if not found.size:
        return found.astype(np.int64)
    if not np.issubdtype(found.dtype, np.integer):
        raise TypeError(
            f"{name} must be integers, got {found.dtype}; where they are whole, convert them by "
            "np.asarray(x, int)"
        )
    if found.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must be below 2⁶³, got {found.max()}, which would wrap around")
    if below is not None:
        require_below(found, name, below)
    return found.astype(np.int64)


def tokens_of(
    values: Given, name: str, axes: str = "T", *, may_be_empty: bool = False
) -> np.ndarray:
    """Token ids, int64, at least one unless they may be none, in [0, 2³¹).

    Raises:
        TypeError: they are not integers.
        ValueError: the shape does not fit, there is none, or one is out of range.
    """
    found = integers_of(values, name, axes, may_be_empty=may_be_empty)
    if found.min(initial=0) < 0:
        raise ValueError(f"{name} must not be negative, got {found.min()}")
    if found.max(initial=0) > np.iinfo(np.int32).max:
        raise ValueError(f"{name} must be below 2³¹, got {found.max()}, which would wrap around")
    return found


def flags_of(
    values: Given, name: str, axes: str, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """Booleans, at least one.

    Raises:
        TypeError: they are not boolean; 0 and 1 would be taken for row numbers.
        ValueError: the shape does not fit or there is none.

    Example:
        >>> flags_of([True, False], "members", "N")
        array([ True, False])
    """
    found = _shaped(array_of(values, name), name, axes, shape)
    if found.dtype != bool:
        raise TypeError(
            f"{name} must be boolean, got {found.dtype}: 0 and 1 would be indices; compare with "
            "== 1 first"
        )
    return found


def require_below(found: np.ndarray, name: str, below: int) -> None:
    """Raises ValueError naming the first integer outside [0, below)."""
    bad = np.argwhere((found < 0) | (found >= below))
    if len(bad):
        raise ValueError(f"{name} must lie in [0, {below}), got {_first(found, bad)}")


def _first(found: np.ndarray, bad: np.ndarray) -> str:
    """The first bad number and where it stands, of positions [k, axes]."""
    place = tuple(bad[0].tolist())
    return f"{found[place]} at position {place[0] if len(place) == 1 else place}"


def _shaped(
    found: np.ndarray,
    name: str,
    axes: str,
    shape: tuple[int, ...] | None,
    *,
    may_be_empty: bool = False,
) -> np.ndarray:
    wanted = axes.split()
    # Where another argument says the shape, it also says whether there may be none.
    empty = shape is None and not may_be_empty and not found.size
    if found.ndim != len(wanted) or empty or shape not in (None, found.shape):
        size = "with at least one number" if shape is None else f"of shape {shape}"
        raise ValueError(f"{name} must be [{', '.join(wanted)}] {size}, got shape {found.shape}")
    return found
