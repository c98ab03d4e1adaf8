"""Linear functions that bring their own transpose, inside every JAX transform.

Reverse mode runs the transpose of a function's derivative. JAX derives it; here it is given,
because the derived one would add up a 16-bit gradient in 16 bits and a second copy of d weight.
`jax.custom_vjp` closes forward mode, `jax.custom_derivatives.linear_call` knows neither vmap nor
a derivative with respect to its residuals; hence this primitive, which knows all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def with_adjoint(
    fun: Callable[[Any, Any], Any],
    adjoint: Callable[[Any, Any], Any],
    residuals: Any,
    linear: Any,
) -> Any:
    """fun(residuals, linear), transposed by calling adjoint(residuals, cotangents).

    Give both as values that compare equal (frozen dataclasses), not as closures made anew, and an
    eager call compiles once.

    Args:
      fun: linear in its second argument; written in differentiable terms, so that derivatives
        with respect to the residuals exist too.
      adjoint: the transpose of `fun` with respect to `linear`, also differentiable; it returns
        the structure, shapes and dtypes of `linear`.
      residuals: a pytree of arrays.
      linear: a pytree of arrays.
    """
    residuals, residual_tree = jax.tree.flatten(jax.tree.map(jnp.asarray, residuals))
    linear, linear_tree = jax.tree.flatten(jax.tree.map(jnp.asarray, linear))
    ahead = _Flat(fun, residual_tree, linear_tree)
    forward, shapes = jax.make_jaxpr(ahead.whole, return_shape=True)(*residuals, *linear)
    out_tree = jax.tree.structure(shapes)
    back = _Flat(adjoint, residual_tree, out_tree)
    return out_tree.unflatten(_bind(forward, ahead, back, residuals, linear))


def undivided(fun: Callable[..., Any], *args: Any) -> Any:
    """fun(*args) as one step, differentiable as `fun` is.

    Inside a derivative rule JAX takes loops apart, known work from unknown, and in doing so
    drops the derivative rules within and lifts arrays of the size of a tile out of the loop.
    """
    return with_adjoint(_Plain(fun), _nothing, args, ())


@dataclass(frozen=True)
class _Plain:
    """A function with nothing to be linear in."""

    fun: Callable[..., Any]

    def __call__(self, given: Any, _: Any) -> Any:
        return self.fun(*given)


def _nothing(*_: Any) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class _Flat:
    """A function of two pytrees as one of flat arrays."""

    fun: Callable[[Any, Any], Any]
    first: Any
    second: Any

    def whole(self, *args: Array) -> Any:
        count = self.first.num_leaves
        return self.fun(self.first.unflatten(args[:count]), self.second.unflatten(args[count:]))

    def __call__(self, *args: Array) -> tuple[Array, ...]:
        return tuple(jax.tree.leaves(self.whole(*args)))


@dataclass(frozen=True)
class _Mapped:
    """A function of flat arrays, mapped over one more axis."""

    fun: Callable[..., Any]
    in_axes: tuple[int | None, ...]
    out_axes: Any

    def __call__(self, *args: Array) -> tuple[Array, ...]:
        return jax.vmap(self.fun, in_axes=self.in_axes, out_axes=self.out_axes)(*args)


_adjoint_p = Primitive("linear_with_adjoint")
_adjoint_p.multiple_results = True


def _bind(forward: Any, fun: Callable, adjoint: Callable, residuals: Any, linear: Any) -> list:
    params = {"forward": forward, "fun": fun, "adjoint": adjoint, "count": len(residuals)}
    return list(_adjoint_p.bind(*residuals, *linear, **params))


def _trace_and_bind(fun: Callable, adjoint: Callable, residuals: Any, linear: Any) -> list:
    # Traced on the arguments themselves: their types know mesh axes, which shapes alone do not.
    forward = jax.make_jaxpr(fun)(*residuals, *linear)
    return _bind(forward, fun, adjoint, residuals, linear)


@_adjoint_p.def_impl
def _impl(*args, fun, **_):
    return _compiled(fun)(*args)


@lru_cache(maxsize=256)
def _compiled(fun: Callable) -> Callable:
    return jax.jit(fun)


@_adjoint_p.def_abstract_eval
def _abstract(*_, forward, **__):
    return forward.out_avals


def _lower(*args, forward, **_):
    return jaxpr_as_fun(forward)(*args)


def _jvp(primals, tangents, *, forward, count, **params):
    bind = partial(_adjoint_p.bind, forward=forward, count=count, **params)
    residuals, linear = primals[:count], primals[count:]
    outs = bind(*primals)
    dots = [ad.Zero(aval.to_tangent_aval()) for aval in forward.out_avals]
    if any(type(t) is not ad.Zero for t in tangents[count:]):
        dots = bind(*residuals, *(ad.instantiate_zeros(t) for t in tangents[count:]))
    moved = [i for i, t in enumerate(tangents[:count]) if type(t) is not ad.Zero]
    if moved:
        # Along the residuals the function is any differentiable one; JAX transposes it.
        def of_residuals(*some):
            given = list(residuals)
            for i, value in zip(moved, some, strict=True):
                given[i] = value
            return jaxpr_as_fun(forward)(*given, *linear)

        at, along = [residuals[i] for i in moved], [tangents[i] for i in moved]
        _, more = jax.jvp(of_residuals, at, along)
        dots = [ad.add_tangents(a, b) for a, b in zip(dots, more, strict=True)]
    return outs, dots


def _transpose(cotangents, *args, forward, fun, adjoint, count):
    residuals = list(args[:count])
    assert not any(ad.is_undefined_primal(r) for r in residuals)
    given = [
        ad.instantiate_zeros(ad.Zero(aval.to_tangent_aval())) if type(ct) is ad.Zero else ct
        for ct, aval in zip(cotangents, forward.out_avals, strict=True)
    ]
    # Transposed again, the adjoint is the function.
    return [None] * count + _trace_and_bind(adjoint, fun, residuals, given)


def _batch(args, dims, *, forward, fun, adjoint, count):
    size = next(x.shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    # What is linear is mapped throughout, so that both directions agree on what is mapped.
    args, dims = list(args), list(dims)
    for i in range(count, len(args)):
        if dims[i] is None:
            args[i], dims[i] = jnp.broadcast_to(args[i], (size, *args[i].shape)), 0
    back_dims = (*dims[:count], *[0] * len(forward.out_avals))
    mapped = _Mapped(fun, tuple(dims), 0)
    mapped_adjoint = _Mapped(adjoint, back_dims, tuple(dims[count:]))
    outs = _trace_and_bind(mapped, mapped_adjoint, args[:count], args[count:])
    return outs, [0] * len(outs)


ad.primitive_jvps[_adjoint_p] = _jvp
ad.primitive_transposes[_adjoint_p] = _transpose
batching.primitive_batchers[_adjoint_p] = _batch
mlir.register_lowering(_adjoint_p, mlir.lower_fun(_lower, multiple_results=True))
