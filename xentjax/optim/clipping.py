"""Bounds on the gradient before a rule sees it, so that one bad batch cannot throw the weights.

Clip by the global norm for language models and recurrent networks (1.0 is usual); adaptively,
each unit against its own weights, for networks without normalization and large batches.
"""

import optax

from xentjax.optim.ranges import Scalar, check_positive


def clipped(
    rule: optax.GradientTransformation,
    *,
    norm: Scalar | None = None,
    adaptive: Scalar | None = None,
) -> optax.GradientTransformation:
    """The rule after clipping the gradient, by its global norm, adaptively, or both.

    Globally: g ← g·min(1, c/‖g‖), the norm taken over all parameters together. Adaptively, for
    the weights W of each unit, a column of a matrix or a whole vector:
    g ← g·min(1, c·max(‖W‖, 10⁻³)/‖g‖). Of both the adaptive is done first, so that the global
    bound holds in the end.

    Args:
        rule: any optax transformation. Around `sam` this clips the first gradient only: clip
            the rule inside instead.
        norm: the largest global norm, None for no such clipping.
        adaptive: the largest norm of a unit's gradient for each unit of its weights' norm, 0.01
            to 0.1, None for no such clipping. It wants the parameters in `update`.

    Returns:
        The optax transformation; the rule itself if nothing is clipped.

    Raises:
        ValueError: if a bound is not positive and finite.

    Example:
        >>> import numpy as np
        >>> rule, params = clipped(optax.sgd(1.0), norm=1.0), {"w": np.zeros(2, np.float32)}
        >>> gradient = {"w": np.array([3.0, 4.0], np.float32)}  # of norm 5
        >>> update, _ = rule.update(gradient, rule.init(params))
        >>> [round(float(u), 4) for u in update["w"]]
        [-0.6, -0.8]

    Reference:
        R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training Recurrent Neural
        Networks", 2013; A. Brock, S. De, S. Smith and K. Simonyan, "High-Performance Large-Scale
        Image Recognition Without Normalization", 2021.
    """
    steps = []
    if adaptive is not None:
        check_positive(adaptive_clip=adaptive)
        steps.append(optax.adaptive_grad_clip(adaptive))
    if norm is not None:
        check_positive(clip_norm=norm)
        steps.append(optax.clip_by_global_norm(norm))
    return optax.chain(*steps, rule) if steps else rule
