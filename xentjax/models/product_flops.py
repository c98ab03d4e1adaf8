"""FLOPs of matrix products and convolutions, counted in a traced program, scope by scope.

XLA's own cost analysis counts a loop's body once and knows no layers. Here a scan's body counts
once for each of its steps, and each product is put to the account of the scope that it was traced
in.
"""

import collections
import math
import re
from collections.abc import Iterator
from typing import Any

_SCOPE = re.compile(r"flops-of-(\d+)")


def scope_name(number: int) -> str:
    """The name to give `jax.named_scope` so that the FLOPs inside are counted under `number`."""
    return f"flops-of-{number}"


def count_product_flops(program: Any) -> tuple[dict[int | None, int], bool]:
    """Counts the FLOPs of products by the innermost scope that they were traced in.

    2·B·M·K·N for B products of `[M, K]` by `[K, N]`; for a convolution 2 for each output times
    each entry of the kernel that it reads, padding included. Of the branches of a condition the
    dearest counts. Kernels written by hand (Pallas, foreign functions) are not looked into.

    Args:
        program: from `jax.make_jaxpr`.

    Returns:
        Scope's number → FLOPs, with None for what was in no scope; and whether there is a loop of
        unknown length (`while_loop`), whose body is counted once.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def f(x, w):
        ...     with jax.named_scope(scope_name(7)):
        ...         return jax.lax.scan(lambda x, _: (x @ w, None), x, length=10)[0]
        >>> count_product_flops(jax.make_jaxpr(f)(jnp.ones((2, 3)), jnp.ones((3, 3))))
        ({7: 360}, False)
    """
    count = _Count()
    flops = count.of(program.jaxpr, None)
    return dict(flops), count.has_unbounded_loop


class _Count:
    """A walk over a program that remembers whether it met a loop of unknown length."""

    def __init__(self) -> None:
        self.has_unbounded_loop = False

    def of(self, jaxpr: Any, scope: int | None) -> collections.Counter[int | None]:
        """FLOPs by scope; `scope` is the one the whole jaxpr stands in."""
        total: collections.Counter[int | None] = collections.Counter()
        for equation in jaxpr.eqns:
            # Inside a loop's body the names begin anew: those outside come with `scope`.
            names = _SCOPE.findall(str(equation.source_info.name_stack))
            here = int(names[-1]) if names else scope
            flops = _own_flops(equation)
            if flops:
                total[here] += flops
            total.update(self._inside(equation, here))
        return total

    def _inside(self, equation: Any, scope: int | None) -> collections.Counter[int | None]:
        name, params = equation.primitive.name, equation.params
        parts = [self.of(jaxpr, scope) for jaxpr in _jaxprs(params)]
        if name == "cond":
            return max(parts, key=lambda part: part.total())
        self.has_unbounded_loop |= name == "while"
        times = params["length"] if name == "scan" else 1
        total: collections.Counter[int | None] = collections.Counter()
        for part in parts:
            total.update({scope: times * flops for scope, flops in part.items()})
        return total


def _jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs inside an equation, closed or not, alone or in a tuple of branches."""
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                yield inner


def _own_flops(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        terms = math.prod(left[axis] for axis in contracted)
    elif name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        terms = math.prod(kernel) // kernel[params["dimension_numbers"].rhs_spec[0]]
    else:
        return 0
    return 2 * terms * math.prod(equation.outvars[0].aval.shape)
