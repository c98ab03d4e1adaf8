"""Linear functions that bring their own transpose, inside every JAX transform.

Reverse mode runs the transpose of a function's derivative. JAX derives it; here it is given,
because the derived one would add up a 16-bit gradient in 16 bits and a second copy of d weight.
`jax.custom_vjp` closes forward mode, `jax.custom_derivatives.linear_call` knows neither vmap nor
a derivative with respect to its residuals; hence this primitive, which knows all of them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir


def with_adjoint(
    fun: Callable[[Any, Any], Any],
    adjoint: Callable[[Any, Any], Any],
    residuals: Any,
    linear: Any,
) -> Any:
    """fun(residuals, linear), transposed by calling adjoint(residuals, cotangents).

    Args:
      fun: linear in its second argument; written in differentiable terms, so that derivatives
        with respect to the residuals exist too.
      adjoint: the transpose of `fun` with respect to `linear`, also differentiable; it returns
        the structure, shapes and dtypes of `linear`.
      residuals: a pytree of arrays.
      linear: a pytree of arrays.
    """
    flat_residuals, residual_tree = jax.tree.flatten(residuals)
    flat_linear, linear_tree = jax.tree.flatten(linear)

    def flat_fun(*args):
        given = residual_tree.unflatten(args[: len(flat_residuals)])
        return fun(given, linear_tree.unflatten(args[len(flat_residuals) :]))

    forward, shapes = jax.make_jaxpr(flat_fun, return_shape=True)(*flat_residuals, *flat_linear)
    out_tree = jax.tree.structure(shapes)

    def flat_adjoint(*args):
        given = residual_tree.unflatten(args[: len(flat_residuals)])
        back = adjoint(given, out_tree.unflatten(args[len(flat_residuals) :]))
        assert jax.tree.structure(back) == linear_tree
        return jax.tree.leaves(back)

    # Traced on the types of fun's results, which know their devices under shard_map.
    backward = _trace_like(flat_adjoint, flat_residuals, forward.out_avals)
    outs = _adjoint_p.bind(
        *flat_residuals,
        *flat_linear,
        forward=forward,
        backward=backward,
        count=len(flat_residuals),
    )
    return out_tree.unflatten(outs)


def undivided(fun: Callable[..., Any], *args: Any) -> Any:
    """fun(*args) as one step, differentiable as `fun` is.

    Inside a derivative rule JAX takes loops apart, known work from unknown, and in doing so
    drops the derivative rules within and lifts arrays of the size of a tile out of the loop.
    """
    return with_adjoint(lambda given, _: fun(*given), lambda *_: (), args, ())


def _trace_like(fun: Callable, args: list, avals: list) -> ClosedJaxpr:
    cotangents = [jax.ShapeDtypeStruct(**_type_of(aval)) for aval in avals]
    return jax.make_jaxpr(fun)(*args, *cotangents)


def _type_of(aval: Any) -> dict[str, Any]:
    known = {"shape": aval.shape, "dtype": aval.dtype}
    vma = getattr(aval, "vma", None)
    return {**known, "vma": vma} if vma else known


_adjoint_p = Primitive("linear_with_adjoint")
_adjoint_p.multiple_results = True


@_adjoint_p.def_impl
def _impl(*args, forward, backward, count):
    del backward, count
    return jax.jit(jaxpr_as_fun(forward))(*args)


@_adjoint_p.def_abstract_eval
def _abstract(*_, forward, backward, count):
    del backward, count
    return forward.out_avals


def _lower(*args, forward, backward, count):
    del backward, count
    return jaxpr_as_fun(forward)(*args)


def _jvp(primals, tangents, *, forward, backward, count):
    bind = partial(_adjoint_p.bind, forward=forward, backward=backward, count=count)
    residuals, linear = primals[:count], primals[count:]
    outs = bind(*primals)
    dots = [ad.Zero(aval.to_tangent_aval()) for aval in forward.out_avals]
    moved = [i for i, t in enumerate(tangents[:count]) if type(t) is not ad.Zero]
    if any(type(t) is not ad.Zero for t in tangents[count:]):
        along = [ad.instantiate_zeros(t) for t in tangents[count:]]
        dots = bind(*residuals, *along)
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


def _transpose(cotangents, *args, forward, backward, count):
    residuals = args[:count]
    assert not any(ad.is_undefined_primal(r) for r in residuals)
    given = [
        _zeros_of(aval) if type(ct) is ad.Zero else ct
        for ct, aval in zip(cotangents, forward.out_avals, strict=True)
    ]
    # Transposed again, the adjoint is the function.
    outs = _adjoint_p.bind(*residuals, *given, forward=backward, backward=forward, count=count)
    return [None] * count + list(outs)


def _zeros_of(aval):
    return ad.instantiate_zeros(ad.Zero(aval))


def _batch(args, dims, *, forward, backward, count):
    size = next(x.shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    # What is linear is mapped throughout, so that both directions agree on what is mapped.
    args, dims = list(args), list(dims)
    for i in range(count, len(args)):
        if dims[i] is None:
            args[i], dims[i] = jnp.broadcast_to(args[i], (size, *args[i].shape)), 0
    ahead = jax.make_jaxpr(jax.vmap(jaxpr_as_fun(forward), in_axes=dims, out_axes=0))(*args)
    back_dims = dims[:count] + [0] * len(forward.out_avals)
    mapped = jax.vmap(jaxpr_as_fun(backward), in_axes=back_dims, out_axes=dims[count:])
    back = _trace_like(mapped, args[:count], ahead.out_avals)
    outs = _adjoint_p.bind(*args, forward=ahead, backward=back, count=count)
    return outs, [0] * len(outs)


ad.primitive_jvps[_adjoint_p] = _jvp
ad.primitive_transposes[_adjoint_p] = _transpose
batching.primitive_batchers[_adjoint_p] = _batch
mlir.register_lowering(_adjoint_p, mlir.lower_fun(_lower, multiple_results=True))
