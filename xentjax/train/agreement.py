"""Agreement of the processes of one run: where they do not go the same way, they wait for ever."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from xentjax.train.damage import DamageError


def holds_everywhere(holds: bool) -> bool:
    """Whether something holds in every process; each must ask, and waits until all have.

    Args:
        holds: whether it holds in this one.

    Example:
        >>> holds_everywhere(True)  # of one process
        True
    """
    if jax.process_count() == 1:
        return holds
    return bool(np.all(multihost_utils.process_allgather(np.asarray(holds))))


def read_everywhere(read: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """What a read returns, or None in every process if it is damaged for one of them, and why.

    Args:
        read: raises `DamageError` for what is damaged, and never returns None.
        *arguments: its arguments.
    """
    found, why = None, ""
    try:
        found = read(*arguments)
    except DamageError as damage:
        why = str(damage)
    if holds_everywhere(found is not None):
        return found, ""
    return None, why or "another process finds it damaged"
