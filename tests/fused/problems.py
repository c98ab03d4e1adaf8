"""Operands on a grid: every product and sum of hidden · weight is exact, in 16 bits too.

Then an error is the loss's own and not the matrix product's, and one tolerance serves logits of
every scale.
"""

import numpy as np

SCALES = (0.1, 1.0, 30.0)


def grid(rng, shape, std, top=64):
    """Normal numbers of this deviation as integers up to `top` times a power of two."""
    step = 2.0 ** np.round(np.log2(std / 16))
    return (np.clip(np.round(rng.normal(size=shape) * std / step), -top, top) * step).astype(
        np.float32
    )


def head(rng, case, std=1.0, vocab_axis=-1):
    """hidden [N, D] and weight whose scores have about this deviation.

    |hidden| ≤ 32 steps and |weight| ≤ 64: sums of D ≤ 16 products are integers below 2¹⁵ steps.
    """
    hidden = grid(rng, (case.n, case.d), 1.0, top=32)
    weight = grid(rng, (case.d, case.v), std / np.sqrt(case.d))
    return {"hidden": hidden, "weight": weight if vocab_axis == -1 else weight.T.copy()}


def options(rng, case, names):
    """Differentiable options by name, at numbers that do something."""
    every = {
        "bias": grid(rng, case.v, 1.0),
        "weights": rng.uniform(0.2, 2, case.n).astype(np.float32),
        "class_weights": rng.uniform(0.2, 2, case.v).astype(np.float32),
        "label_smoothing": np.float32(0.125),
        "z_loss": np.float32(0.01),
        "soft_cap": np.float32(20.0),
        "logit_scale": np.float32(1.25),
    }
    return {name: every[name] for name in names}
