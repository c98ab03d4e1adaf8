"""Dropout whose rate may be traced, so that a sweep can train many rates in one program.

A rate of 0 costs nothing: no random numbers are drawn and no key is kept.
"""

from typing import Any, TypeVar

import jax
import jax.core
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

_Model = TypeVar("_Model", bound=nnx.Module)


class Hyperparameter(nnx.Variable):
    """A number that training reads and never changes; a traced value lives in the state."""


class Dropout(nnx.Module):
    """Drops each entry with probability p in training and scales the others by 1/(1 − p).

    y = x · m / (1 − p) with m ~ Bernoulli(1 − p), so that E[y] = x; y = x in evaluation. Use
    against overfitting, after an activation.

    `train()` and `eval()` turn it on and off.

    Example:
        >>> dropout = Dropout(0.5, rngs=nnx.Rngs(0))
        >>> sorted(set(dropout(jnp.ones(100)).tolist()))
        [0.0, 2.0]
        >>> dropout.eval()
        >>> dropout(jnp.ones(2)).tolist()
        [1.0, 1.0]

    Reference:
        N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from
        Overfitting", 2014.
    """

    def __init__(self, rate: Any, *, rngs: nnx.Rngs) -> None:
        """Takes the rate and, unless it is 0, a stream of random numbers of its own.

        Args:
            rate: p in [0, 1), a number or a (traced) scalar array.
            rngs: its stream `dropout` is forked, so no two layers drop the same entries.

        Raises:
            ValueError: if a known rate is outside [0, 1).
        """
        known = not isinstance(rate, jax.Array | jax.core.Tracer)
        if known and not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1), got {rate}")
        self.deterministic = False
        self.rate = float(rate) if known else Hyperparameter(jnp.asarray(rate))
        # Forked even where it is not kept, so that the weights drawn after do not depend on p.
        stream = rngs.dropout.fork()
        if not known or rate > 0:
            self.rngs = stream

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Returns x with entries dropped in training, x itself in evaluation."""
        if self.deterministic or (isinstance(self.rate, float) and self.rate == 0.0):
            return x
        rate = self.rate[...] if isinstance(self.rate, Hyperparameter) else self.rate
        kept = jax.random.bernoulli(self.rngs(), 1 - rate, x.shape)
        scale = jnp.asarray(1 / (1 - rate), x.dtype)
        return jnp.where(kept, x * scale, jnp.zeros((), x.dtype))


def set_dropout_rate(model: _Model, rate: Any) -> _Model:
    """Gives every `Dropout` in a model another rate, which may be traced.

    A config is static and cannot hold a traced number: make the model with any rate above 0, then
    set the rate. The entries dropped are those of a model made with that rate.

    Args:
        model: changed in place; layers made with rate 0 have no random numbers and stay off.
        rate: p in [0, 1).

    Returns:
        The same model.

    Raises:
        ValueError: if no layer of the model can drop anything.

    Example:
        >>> layer = set_dropout_rate(Dropout(0.1, rngs=nnx.Rngs(0)), jnp.float32(0.5))
        >>> float(layer.rate[...])
        0.5
    """
    layers = [layer for _, layer in nnx.iter_modules(model) if isinstance(layer, Dropout)]
    able = [layer for layer in layers if not isinstance(layer.rate, float) or layer.rate > 0]
    if not able:
        raise ValueError(
            f"model has {len(layers)} Dropout layers and none with a rate above 0; make it with "
            "dropout=0.1, or any other rate above 0, before setting another"
        )
    for layer in able:
        layer.rate = nnx.data(Hyperparameter(jnp.asarray(rate, jnp.float32)))
    return model
