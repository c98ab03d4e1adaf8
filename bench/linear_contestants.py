"""Who takes part in `bench.linear` and is traced by JAX: each with the loss of a linear head.

A contestant is `(fn, args)`. For value and gradients its result is (loss, (d hidden, d weight)),
whoever made it, so that one check against float64 fits all. The floor is the matrix products
alone, in the dtype of the model, their logits written to memory as a dense path would write them.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

import xentjax
from xentjax.fused import plan
from xentjax.fused.cases import Case

Entries = dict[str, tuple[Any, tuple]]
Loss = Callable[..., jax.Array]

XENTJAX, PER_TOKEN, OPTAX = "xentjax", "xentjax, per token", "optax dense"
THREE_PRODUCTS, ONE_PRODUCT = "three bare products", "one bare product"


class Inputs(NamedTuple):
    """hidden [N, D], weight [D, V], labels [N], and the cotangents [N] of per-token losses."""

    hidden: jax.Array
    weight: jax.Array
    labels: jax.Array
    cotangents: jax.Array

    @property
    def arrays(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The arguments of a loss."""
        return self.hidden, self.weight, self.labels


def random_inputs(case: Case, dtype: Any, seed: int = 0) -> Inputs:
    """Random arrays, made on the device that will use them; logits of standard deviation 1."""
    hidden, weight, labels, cotangents = jax.random.split(jax.random.key(seed), 4)
    return Inputs(
        jax.random.normal(hidden, (case.n, case.d), dtype),
        jax.random.normal(weight, (case.d, case.v), dtype) * case.d**-0.5,
        jax.random.randint(labels, (case.n,), 0, case.v),
        jax.random.normal(cotangents, (case.n,), jnp.float32),
    )


def random_tangents(case: Case, dtype: Any) -> tuple[jax.Array, jax.Array]:
    return random_inputs(case, dtype, seed=1)[:2]


# --- losses -----------------------------------------------------------------------------------


def xentjax_loss(hidden, weight, labels, *, tile=None) -> jax.Array:
    return xentjax.linear_cross_entropy(hidden, weight, labels, tile=tile)


def optax_loss(hidden, weight, labels) -> jax.Array:
    # A 16-bit model's logits are widened, as language models do: XLA fuses the conversion.
    logits = (hidden @ weight).astype(jnp.float32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def tokamax_loss(hidden, weight, labels, *, implementation: str) -> jax.Array:
    import tokamax  # pyright: ignore[reportMissingImports] (asked for by find_spec)

    loss = tokamax.linear_softmax_cross_entropy_loss
    return loss(hidden, labels, weight, reduction="mean", implementation=implementation)


# --- what is asked of a loss ------------------------------------------------------------------


def gradients(loss: Loss) -> Callable[..., Any]:
    return jax.value_and_grad(loss, argnums=(0, 1))


def per_token_gradients(hidden, weight, labels, cotangents) -> Any:
    """Losses of each token and both gradients, with cotangents unknown to the forward pass."""

    def losses(hidden, weight):
        return xentjax.linear_cross_entropy(hidden, weight, labels, reduction="none")

    values, pull = jax.vjp(losses, hidden, weight)
    return values, pull(cotangents)


def directional(loss: Loss) -> Callable[..., Any]:
    """The loss and its derivative along tangents of hidden states and weight."""

    def derivative(hidden, weight, labels, *tangents):
        return jax.jvp(lambda h, w: loss(h, w, labels), (hidden, weight), tangents)

    return derivative


def hessian_vector(loss: Loss) -> Callable[..., Any]:
    """Hessian times tangents, forward over reverse, both arguments."""

    def product(hidden, weight, labels, *tangents):
        slopes = jax.grad(lambda h, w: loss(h, w, labels), argnums=(0, 1))
        return jax.jvp(slopes, (hidden, weight), tangents)[1]

    return product


# --- the floor --------------------------------------------------------------------------------


def one_product(hidden: jax.Array, weight: jax.Array) -> jax.Array:
    return hidden @ weight


def three_products(hidden: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What value and gradients cannot do without; the barrier keeps the logits as an array."""
    logits = lax.optimization_barrier(hidden @ weight)
    return logits @ weight.T, hidden.T @ logits


# --- line-ups ---------------------------------------------------------------------------------


def planned_tile(case: Case, dtype: Any) -> int:
    """The rows `linear_cross_entropy` takes unasked."""
    return plan(*case, dtype).tile


def neighbour_tiles(case: Case, dtype: Any) -> tuple[int, ...]:
    """Half and twice the planned rows, where that changes anything."""
    tile = planned_tile(case, dtype)
    return tuple(rows for rows in (tile // 2, min(2 * tile, case.n)) if rows not in (0, tile))


def training(inputs: Inputs, tiles: tuple[int, ...] = (), tokamax: bool = True) -> Entries:
    """Value and both gradients."""
    ours: dict[str, Loss] = {XENTJAX: xentjax_loss}
    ours |= {f"xentjax, tile {tile}": partial(xentjax_loss, tile=tile) for tile in tiles}
    others: dict[str, Loss] = {OPTAX: optax_loss}
    if tokamax and find_spec("tokamax"):
        for implementation in ("xla", "chunked_xla"):
            name = f"tokamax {implementation}"
            others[name] = partial(tokamax_loss, implementation=implementation)
    return {
        **{name: (gradients(loss), inputs.arrays) for name, loss in ours.items()},
        PER_TOKEN: (per_token_gradients, tuple(inputs)),
        **{name: (gradients(loss), inputs.arrays) for name, loss in others.items()},
        THREE_PRODUCTS: (three_products, inputs[:2]),
    }


def forward(inputs: Inputs) -> Entries:
    """The value alone."""
    return {
        XENTJAX: (xentjax_loss, inputs.arrays),
        OPTAX: (optax_loss, inputs.arrays),
        ONE_PRODUCT: (one_product, inputs[:2]),
    }


def along_tangents(inputs: Inputs, tangents: tuple, transform: Callable[[Loss], Any]) -> Entries:
    """`directional` or `hessian_vector` of each loss."""
    arguments = inputs.arrays + tangents
    return {
        XENTJAX: (transform(xentjax_loss), arguments),
        OPTAX: (transform(optax_loss), arguments),
        THREE_PRODUCTS: (three_products, inputs[:2]),
    }
