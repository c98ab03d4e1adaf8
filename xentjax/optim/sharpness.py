"""Sharpness-aware minimization: descend where the worst neighbour is low, not one point alone."""

from typing import Any

import optax
from jaxtyping import PyTree
from optax.contrib import sam as optax_sam

from xentjax.optim.ranges import Scalar, check_count, check_positive


def sam(
    rule: optax.GradientTransformation, *, radius: Scalar = 0.05, ascents: int = 1
) -> optax.GradientTransformationExtraArgs:
    """The rule with the gradient of a point uphill: g ← ∇f(θ + ρ·g/‖g‖).

    Prefer it where data are few and a second gradient a step is affordable: it looks for wide
    minima, which generalize better and bear wrong labels better. A gradient of 0 stays 0.

    Args:
        rule: any optax transformation. Clip it inside: `sam(clipped(rule, norm=1.0))`, for the
            gradient it gets is the one uphill.
        radius: ρ, positive; the length of an ascent.
        ascents: steps uphill, each a gradient more, at least 1.

    Returns:
        The optax transformation; its `update` wants the parameters and grad_fn, besides what
        rule wants.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        For w² at w = 1 the gradient is taken at 1.5.

        >>> import jax
        >>> rule, w = sam(optax.sgd(0.1), radius=0.5), jax.numpy.float32(1.0)
        >>> gradient = lambda w, _: 2 * w
        >>> update, _ = rule.update(gradient(w, 0), rule.init(w), w, grad_fn=gradient)
        >>> round(float(update), 4)
        -0.3

    Reference:
        P. Foret, A. Kleiner, H. Mobahi and B. Neyshabur, "Sharpness-Aware Minimization for
        Efficiently Improving Generalization", 2021.
    """
    check_positive(radius=radius)
    check_count(1, ascents=ascents)
    # Not optax.contrib.normalize, which makes NaN of a gradient of 0.
    uphill = optax.chain(optax.normalize_by_update_norm(eps=1e-12), optax.scale(-radius))
    inner = optax.with_extra_args_support(rule)

    def around(outer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
        return optax_sam(outer, uphill, sync_period=ascents + 1, opaque_mode=True)

    def update(
        updates: PyTree, state: PyTree, params: PyTree = None, **extra_args: Any
    ) -> tuple[PyTree, PyTree]:
        grad_fn = extra_args.pop("grad_fn", None)

        # Optax's gives the rule inside no extra arguments, and refuses those it does not know.
        def update_inside(updates: PyTree, state: PyTree, params: PyTree = None) -> Any:
            return inner.update(updates, state, params, **extra_args)

        bound = optax.GradientTransformation(inner.init, update_inside)
        return around(bound).update(updates, state, params, grad_fn=grad_fn)

    return optax.GradientTransformationExtraArgs(around(inner).init, update)
