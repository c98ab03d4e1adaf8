"""Privacy budgets: what ε a private training spends, and what it promises against every attack.

The accounting is jax-privacy's (extra `privacy`): no bound of our own.
"""

import functools
import math
from typing import Any

# Coarse for the search for a noise, fine for what is reported; both err towards a larger ε.
_COARSE, _FINE = 1e-3, 1e-4
# e^50 promises nothing, and so small a noise takes minutes to account for.
_LARGEST_EPSILON = 50.0


def privacy_spent(
    noise_multiplier: float,
    *,
    rows: int,
    batch_size: int,
    steps: int,
    delta: float,
    largest_batch: int | None = None,
) -> float:
    r"""The ε of DP-SGD: how much one row can change what becomes of a training.

        Pr[training on D gives S] ≤ e^ε · Pr[training on D′ gives S] + δ

    for every set S of outcomes and all D, D′ that differ by one row added or removed. By the
    privacy loss distribution of `steps` Gaussian mechanisms, each on a Poisson sample of rate
    q = batch_size / rows.

    Args:
        noise_multiplier: σ, the noise's standard deviation over the clipping norm; positive.
        rows: N of the training data.
        batch_size: the expected number of rows a step.
        steps: optimizer steps.
        delta: δ in (0, 1), below 1 / N: a mechanism that gives one random row away has δ = 1 / N.
        largest_batch: the size to which a larger sample is cut at random; None for no limit.

    Returns:
        ε, an upper bound, tight to about three digits.

    Raises:
        ImportError: if jax-privacy is missing.
        ValueError: if a number is out of range.

    Example:
        >>> epsilon = privacy_spent(4.0, rows=100, batch_size=100, steps=16, delta=1e-5)
        >>> print(f"{epsilon:.2f}")  # μ = √16 / 4 = 1, whose ε at δ = 1e-5 is 4.377
        4.38

    Reference:
        M. Abadi et al., Deep Learning with Differential Privacy, 2016. V. Doroshenko et al.,
        Connect the Dots: Tighter Discrete Approximations of Privacy Loss Distributions, 2022.
    """
    if not 0 < noise_multiplier < math.inf:
        raise ValueError(f"noise_multiplier must be positive, got {noise_multiplier}")
    _check(rows, batch_size, steps, delta, largest_batch)
    return _epsilon(noise_multiplier, rows, batch_size, steps, delta, largest_batch, _FINE)


def noise_needed(
    epsilon: float,
    *,
    rows: int,
    batch_size: int,
    steps: int,
    delta: float,
    largest_batch: int | None = None,
) -> float:
    """The noise multiplier of a DP-SGD that spends ε: the inverse of `privacy_spent`.

    Args:
        epsilon: the ε that may be spent, positive. 1 is a strong promise, 8 a usual one; beyond
            some 20 the promise says little.
        rows: N of the training data.
        batch_size: the expected number of rows a step.
        steps: optimizer steps.
        delta: δ in (0, 1), below 1 / N.
        largest_batch: the size to which a larger sample is cut; None for no limit.

    Returns:
        σ, the smallest to 0.001 of which `privacy_spent` is at most ε.

    Raises:
        ImportError: if jax-privacy is missing.
        ValueError: if a number is out of range.

    Example:
        >>> noise = noise_needed(4.377, rows=100, batch_size=100, steps=16, delta=1e-5)
        >>> print(f"{noise:.2f}")
        4.00

    Reference:
        M. Abadi et al., Deep Learning with Differential Privacy, 2016.
    """
    if not 0 < epsilon <= _LARGEST_EPSILON:
        raise ValueError(
            f"epsilon must lie in (0, {_LARGEST_EPSILON}], got {epsilon}; where nothing is to be "
            "promised, train without noise"
        )
    _check(rows, batch_size, steps, delta, largest_batch)
    spent = functools.partial(
        _epsilon,
        rows=rows,
        batch_size=batch_size,
        steps=steps,
        delta=delta,
        largest_batch=largest_batch,
        interval=_COARSE,
    )
    # A bracket from the middle: small noises take minutes to account for.
    high = 1.0
    while spent(high) > epsilon:
        high *= 2
    low = high / 2
    while spent(low) <= epsilon:
        low /= 2
    return _accounting().calibrate_noise_multiplier(
        target_epsilon=epsilon,
        accountant=_accountant(_COARSE),
        batch_sizes=batch_size,
        num_updates=steps,
        num_samples=rows,
        target_delta=delta,
        truncated_batch_size=_limit(largest_batch, rows),
        initial_max_noise=2 * low,
        initial_min_noise=low,
        tol=1e-3,
    )


def true_positive_bound(false_positive_rate: float, epsilon: float, delta: float) -> float:
    r"""The largest true positive rate of any membership attack on an (ε, δ)-private model.

        TPR ≤ min(e^ε · FPR + δ, 1 − e^{−ε} (1 − δ − FPR))

    Whatever the attacker knows of the other rows and of the training, its random numbers excepted.

    Args:
        false_positive_rate: in [0, 1].
        epsilon: non-negative.
        delta: in [0, 1).

    Returns:
        A rate in [0, 1].

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> bound = true_positive_bound(0.01, math.log(10), 0.0)
        >>> print(f"{bound:.4f}")  # 10 · 0.01
        0.1000

    Reference:
        P. Kairouz, S. Oh, P. Viswanath, The Composition Theorem for Differential Privacy, 2015.
    """
    if not 0 <= false_positive_rate <= 1 or not epsilon >= 0 or not 0 <= delta < 1:
        raise ValueError(
            "false_positive_rate must lie in [0, 1], epsilon be at least 0 and delta lie in "
            f"[0, 1), got {false_positive_rate}, {epsilon} and {delta}"
        )
    # e^710 overflows; the product is no bound from 1 on.
    logarithm = math.log(false_positive_rate) if false_positive_rate > 0 else -math.inf
    above = math.exp(min(0.0, epsilon + logarithm)) + delta
    return max(0.0, min(1.0, above, 1 - math.exp(-epsilon) * (1 - delta - false_positive_rate)))


def _check(rows, batch_size, steps, delta, largest_batch):
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not 1 <= batch_size <= rows:
        raise ValueError(f"batch_size must lie in [1, rows = {rows}], got {batch_size}")
    if largest_batch is not None and largest_batch < batch_size:
        raise ValueError(
            f"largest_batch must be at least batch_size = {batch_size}, got {largest_batch}"
        )
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie in (0, 1), and below 1 / rows, got {delta}")


def require_accountant() -> None:
    """Raise an ImportError that names the extra, if jax-privacy is missing."""
    _accounting()


def _accounting() -> Any:
    try:
        from jax_privacy import accounting
    except ImportError as error:
        raise ImportError(
            'privacy is accounted for by jax-privacy: pip install "xentjax[privacy]"'
        ) from error
    return accounting


def _accountant(interval: float) -> Any:
    accounting = _accounting()
    return accounting.DpsgdTrainingAccountant(
        accounting.PldAccountantConfig(value_discretization_interval=interval)
    )


def _limit(largest_batch: int | None, rows: int) -> int | None:
    return None if largest_batch is None or largest_batch >= rows else largest_batch


def _epsilon(noise_multiplier, rows, batch_size, steps, delta, largest_batch, interval) -> float:
    parameters = _accounting().DpParams(
        noise_multipliers=noise_multiplier,
        num_samples=rows,
        delta=delta,
        batch_size=batch_size,
        truncated_batch_size=_limit(largest_batch, rows),
    )
    return float(_accountant(interval).compute_epsilon(steps, parameters))
