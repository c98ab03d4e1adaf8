"""The deformed softmax in 50 digits by bisection, and its losses as their papers write them."""

import mpmath
import numpy as np
from mpmath import mpf

DIGITS = 50


def deformed_exp(v, rate):
    """(1 + βv)₊^(1/β)."""
    if rate == 0:
        return mpmath.exp(v)
    base = 1 + rate * v
    return base ** (1 / rate) if base > 0 else mpf(0)


def probabilities(logits, rate):
    """p = exp_β(x − λ) with Σ p = 1, λ by 180 halvings of [max x, the λ of equal logits]."""
    n, top = len(logits), max(logits)
    widest = mpmath.log(n) if rate == 0 else (1 - mpf(n) ** -rate) / rate
    low, high = top, top + widest
    for _ in range(180):
        middle = (low + high) / 2
        total = sum(deformed_exp(x - middle, rate) for x in logits)
        low, high = (middle, high) if total > 1 else (low, middle)
    return [deformed_exp(x - low, rate) for x in logits]


def numbers(values):
    """The exact values of an array of floats."""
    return [mpf(float(x)) for x in np.asarray(values)]


def entmax_loss(logits, label, alpha):
    """p·x − Ω(p) − x_y, Ω(p) = (Σ p^α − 1) / (α (α − 1)); and its gradient p − y."""
    with mpmath.workdps(DIGITS):
        x, alpha = numbers(logits), mpf(alpha)
        p = probabilities(x, alpha - 1)
        if alpha == 1:
            omega = sum(q * mpmath.log(q) for q in p if q > 0)
        else:
            omega = (sum(q**alpha for q in p) - 1) / (alpha * (alpha - 1))
        loss = sum(q * z for q, z in zip(p, x, strict=True)) - omega - x[label]
        p[label] -= 1
        return float(loss), np.array([float(q) for q in p])


def bi_tempered_loss(logits, label, t1, t2):
    """Σ_j [y_j (log_t1 y_j − log_t1 p_j) − (y_j^(2−t1) − p_j^(2−t1)) / (2 − t1)]."""
    with mpmath.workdps(DIGITS):
        p, t1 = probabilities(numbers(logits), 1 - mpf(t2)), mpf(t1)
        own = p[label]
        log_own = mpmath.log(own) if t1 == 1 else (own ** (1 - t1) - 1) / (1 - t1)
        return float(-log_own - (1 - sum(q ** (2 - t1) for q in p)) / (2 - t1))
