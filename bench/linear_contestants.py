"""Who takes part in `bench.linear` and is traced by JAX: each with the loss of a linear head.

For value and gradients its result is (loss, (d hidden, d weight)),
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
from bench.lineup import Contestant, floor, ours, peer, variant
from xentjax.fused import plan
from xentjax.fused.cases import Case

Lineup = dict[str, Contestant]
Loss = Callable[..., jax.Array]

XENTJAX, OPTAX = "xentjax", "optax dense"
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


def xentjax_loss(hidden, weight, labels, *, tile=None, reduction="mean") -> jax.Array:
    return xentjax.linear_cross_entropy(hidden, weight, labels, tile=tile, reduction=reduction)


def optax_token_losses(hidden, weight, labels) -> jax.Array:
    # A 16-bit model's logits are widened, as language models do: XLA fuses the conversion.
    logits = (hidden @ weight).astype(jnp.float32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def optax_loss(hidden, weight, labels) -> jax.Array:
    return optax_token_losses(hidden, weight, labels).mean()


def tokamax_loss(hidden, weight, labels, *, implementation: str) -> jax.Array:
    import tokamax  # pyright: ignore[reportMissingImports] (asked for by find_spec)

    loss = tokamax.linear_softmax_cross_entropy_loss
    return loss(hidden, labels, weight, reduction="mean", implementation=implementation)


# --- what is asked of a loss ------------------------------------------------------------------


def gradients(loss: Loss) -> Callable[..., Any]:
    return jax.value_and_grad(loss, argnums=(0, 1))


def token_gradients(loss: Loss) -> Callable[..., Any]:
    """Losses of each token and both gradients, with cotangents unknown to the forward pass."""

    def both(hidden, weight, labels, cotangents):
        values, pull = jax.vjp(lambda h, w: loss(h, w, labels), hidden, weight)
        return values, pull(cotangents)

    return both


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


def training(inputs: Inputs, tiles: tuple[int, ...] = ()) -> Lineup:
    """Value and both gradients."""
    arrays = inputs.arrays
    others = {f"tile {tile}": partial(xentjax_loss, tile=tile) for tile in tiles}
    return {
        XENTJAX: ours(gradients(xentjax_loss), arrays),
        **{name: variant(gradients(loss), arrays) for name, loss in others.items()},
        OPTAX: peer(gradients(optax_loss), arrays),
        **{name: peer(gradients(loss), arrays) for name, loss in _tokamax_losses().items()},
        THREE_PRODUCTS: floor(three_products, inputs[:2]),
    }


def per_token(inputs: Inputs) -> Lineup:
    """Losses of each token, and both gradients for cotangents that come afterwards."""
    return {
        XENTJAX: ours(token_gradients(partial(xentjax_loss, reduction="none")), tuple(inputs)),
        OPTAX: peer(token_gradients(optax_token_losses), tuple(inputs)),
        THREE_PRODUCTS: floor(three_products, inputs[:2]),
    }


def forward(inputs: Inputs) -> Lineup:
    """The value alone."""
    return {
        XENTJAX: ours(xentjax_loss, inputs.arrays),
        OPTAX: peer(optax_loss, inputs.arrays),
        ONE_PRODUCT: floor(one_product, inputs[:2]),
    }


def along_tangents(inputs: Inputs, tangents: tuple, transform: Callable[[Loss], Any]) -> Lineup:
    """`directional` or `hessian_vector` of each loss."""
    arguments = inputs.arrays + tangents
    return {
        XENTJAX: ours(transform(xentjax_loss), arguments),
        OPTAX: peer(transform(optax_loss), arguments),
        THREE_PRODUCTS: floor(three_products, inputs[:2]),
    }


def _tokamax_losses() -> dict[str, Loss]:
    if not find_spec("tokamax"):
        return {}
    return {
        f"tokamax {implementation}": partial(tokamax_loss, implementation=implementation)
        for implementation in ("xla", "chunked_xla")
    }
