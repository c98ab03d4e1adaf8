"""The binomial distribution, exact: its lower tail, and Clopper and Pearson's interval.

Prefer the interval to Wilson's where a small share must be bounded from below: about a share of
0.18/n Wilson's holds it in 84 of 100 samples, since one success already rules it out.
"""

import numpy as np

from xentjax.audit.estimate import Estimate

_HALVINGS = 60
_TAIL = 0.025


def at_most(successes: int, n: int, rate: float) -> float:
    """P(Bin(n, rate) ≤ successes), in double precision.

    Args:
        successes: in [0, n].
        n: trials, at least 1.
        rate: in (0, 1).

    Example:
        >>> at_most(1, 2, 0.5)  # ¼ + ½
        0.75
    """
    logs = np.cumsum(np.log(np.maximum(np.arange(n + 1), 1)))  # of factorials
    k = np.arange(successes + 1)
    ways = logs[n] - logs[k] - logs[n - k]
    return min(float(np.exp(ways + k * np.log(rate) + (n - k) * np.log1p(-rate)).sum()), 1.0)


def exact_share(successes: int, n: int) -> Estimate:
    """A fraction with the interval that holds it in at least 95 of 100 samples, whatever it is.

    Args:
        successes: in [0, n].
        n: independent trials, at least 1.

    Example:
        >>> found = exact_share(0, 10)
        >>> print(f"{found.low} {found.high:.4f}")  # 1 − 0.025^(1/10)
        0.0 0.3085

    Reference:
        C. J. Clopper, E. S. Pearson, The Use of Confidence or Fiducial Limits Illustrated in the
        Case of the Binomial, 1934.
    """
    low = _rate_at(successes - 1, n, 1 - _TAIL) if successes > 0 else 0.0
    high = _rate_at(successes, n, _TAIL) if successes < n else 1.0
    return Estimate(successes / n, low, high)


def _rate_at(successes: int, n: int, chance: float) -> float:
    """The rate at which so few successes have that chance, which falls with the rate."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(successes, n, middle) > chance else (low, middle)
    return (low + high) / 2
