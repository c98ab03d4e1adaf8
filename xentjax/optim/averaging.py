"""Averages of the weights along the run, kept in the optimizer's state and evaluated in its stead.

The average of the last weights lies nearer the bottom of the valley than the weights
themselves, which bounce between its sides: most of what a decaying learning rate buys, without
knowing when the run ends. `ema` and `swa` wrap any optax transformation and leave its steps as
they are; `evaluation_params` says what to evaluate with.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer, PyTree
from optax.contrib import ScheduleFreeState, schedule_free_eval_params

from xentjax.optim.ranges import Scalar, check_count, check_unit


class AveragedState(NamedTuple):
    """The state of a rule whose weights are averaged.

    Attributes:
        inner: the state of the rule.
        average: the averaged weights, at least float32: an average moves by less than a bfloat16
            can say.
        steps: updates so far.
    """

    inner: PyTree
    average: PyTree
    steps: Integer[Array, ""]


def ema(
    rule: optax.GradientTransformation, *, decay: Scalar = 0.999
) -> optax.GradientTransformationExtraArgs:
    """Keeps an exponential moving average of the weights, corrected for its start.

    x̄ₜ = Σₛ dᵗ⁻ˢ·θₛ / Σₛ dᵗ⁻ˢ over the weights θ₁ … θₜ after each update, so that the initial
    weights do not linger; x̄₀ = θ₀. It looks back over about 1/(1 − d) steps. Prefer it when
    the run may be stopped at any time.

    Args:
        rule: any optax transformation. Anything that changes its updates goes inside.
        decay: d in [0, 1).

    Returns:
        The rule with the average in its state; it takes the extra arguments that rule takes.

    Raises:
        ValueError: if decay is outside its range.

    Example:
        >>> rule, w = ema(optax.sgd(1.0), decay=0.5), jnp.float32(0.0)
        >>> state = rule.init(w)
        >>> for _ in range(2):  # θ = 1, then 2
        ...     step, state = rule.update(jnp.float32(-1.0), state, w)
        ...     w = w + step
        >>> round(float(evaluation_params(state, w)), 4)  # (½·1 + 2) / (½ + 1)
        1.6667

    Reference:
        B. Polyak and A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.
    """
    check_unit(decay=decay)

    def gain(count: Integer[Array, ""]) -> Float[Array, ""]:
        d = jnp.asarray(decay, jnp.float32)
        # expm1 keeps its digits where d is near 1 and count small; at d = 0 it is 1.
        return jnp.minimum((1 - d) / -jnp.expm1(count * jnp.log(d)), 1.0)

    return _averaged(rule, gain)


def swa(
    rule: optax.GradientTransformation, *, start: int, every: int = 1
) -> optax.GradientTransformationExtraArgs:
    """Averages the weights equally, from a step on: stochastic weight averaging.

    x̄ = the mean of θ_s, θ_{s+k}, θ_{s+2k}, … so far; before step s the weights themselves.
    Prefer it with a high, constant or cyclical learning rate over the last quarter of a run; with
    cycles let `every` be their length and take each at its lowest rate.

    Args:
        rule: any optax transformation. Anything that changes its updates goes inside.
        start: s, the number of updates after which the first weights are taken, at least 1.
        every: k, updates between two that are taken, at least 1.

    Returns:
        The rule with the average in its state; it takes the extra arguments that rule takes.

    Raises:
        ValueError: if start or every is not a whole number of at least 1.

    Example:
        >>> rule, w = swa(optax.sgd(1.0), start=2, every=2), jnp.float32(0.0)
        >>> state = rule.init(w)
        >>> for _ in range(5):  # θ = 1, 2, 3, 4, 5
        ...     step, state = rule.update(jnp.float32(-1.0), state, w)
        ...     w = w + step
        >>> float(evaluation_params(state, w))  # the mean of 2 and 4
        3.0

    Reference:
        P. Izmailov, D. Podoprikhin, T. Garipov, D. Vetrov and A. Wilson, "Averaging Weights Leads
        to Wider Optima and Better Generalization", 2018.
    """
    check_count(1, start=start, every=every)

    def gain(count: Integer[Array, ""]) -> Float[Array, ""]:
        past = count - start
        taken = jnp.where(past % every == 0, 1 / (past // every + 1), 0.0)
        return jnp.where(past < 0, 1.0, taken).astype(jnp.float32)

    return _averaged(rule, gain)


def evaluation_params(opt_state: PyTree, params: PyTree) -> PyTree:
    """The parameters to evaluate with: the average, where the optimizer keeps one.

    That of `ema` or `swa`, or of a schedule-free optimizer, wherever it is in the state: in a
    chain, under a mask, in a partition (each part by its own average). Of one average inside
    another it is the outermost. Without any, params as they are.

    Args:
        opt_state: the state of any optax transformation.
        params: the trained parameters.

    Returns:
        A tree like params, of the same dtypes.

    Example:
        >>> params = {"w": jnp.ones(2)}
        >>> evaluation_params(optax.sgd(0.1).init(params), params) is params
        True
    """
    for node in jax.tree.leaves(opt_state, is_leaf=_is_source):
        if _is_source(node):
            params = _evaluated(node, params)
    return params


def _averaged(
    rule: optax.GradientTransformation,
    gain: Callable[[Integer[Array, ""]], Float[Array, ""]],
) -> optax.GradientTransformationExtraArgs:
    """x̄ ← x̄ + gain(t)·(θₜ − x̄): a gain of 1 takes the weights, of 0 keeps the average."""
    if not isinstance(rule, optax.GradientTransformation):
        raise TypeError(
            f"rule must be an optax transformation, got a {type(rule).__name__}; call the recipe "
            "first: ema(adamw(1e-3))"
        )
    inner_rule = optax.with_extra_args_support(rule)

    def init(params: PyTree) -> AveragedState:
        # A copy even in float32: a donated step may not receive one buffer twice.
        average = jax.tree.map(lambda p: jnp.array(p, _average_dtype(p), copy=True), params)
        return AveragedState(inner_rule.init(params), average, jnp.zeros((), jnp.int32))

    def update(
        updates: PyTree, state: PyTree, params: PyTree = None, **extra_args: object
    ) -> tuple[PyTree, AveragedState]:
        if params is None:
            raise ValueError("params must be given to update: the average is of them, got None")
        updates, inner = inner_rule.update(updates, state.inner, params, **extra_args)
        steps = jnp.asarray(optax.safe_increment(state.steps))
        share = gain(steps)

        def moved(average: Array, weights: Array) -> Array:
            step = share.astype(average.dtype) * (weights - average)
            return jnp.where(share < 1, average + step, weights)  # exactly the weights at 1

        weights = jax.tree.map(
            lambda p, u, a: (p + u).astype(p.dtype).astype(a.dtype), params, updates, state.average
        )
        average = jax.tree.map(moved, state.average, weights)
        return updates, AveragedState(inner, average, steps)

    return optax.GradientTransformationExtraArgs(init, update)


def _average_dtype(leaf: Array) -> jnp.dtype:
    return jnp.promote_types(jnp.result_type(leaf), jnp.float32)


def _is_source(node: object) -> bool:
    return isinstance(node, AveragedState | ScheduleFreeState)


def _evaluated(state: AveragedState | ScheduleFreeState, params: PyTree) -> PyTree:
    """The parameters of one average; those that a mask keeps from it are left as they are."""
    kept = state.average if isinstance(state, AveragedState) else state.z

    def read(leaf: PyTree, current: PyTree) -> PyTree:
        if isinstance(leaf, optax.MaskedNode):
            return current
        if isinstance(state, ScheduleFreeState):
            leaf = schedule_free_eval_params(state._replace(z=leaf), current)
        return jnp.asarray(leaf, current.dtype)

    return jax.tree.map(read, kept, params, is_leaf=lambda n: isinstance(n, optax.MaskedNode))
