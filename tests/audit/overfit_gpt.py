"""A tiny GPT that learns a short text by heart, for attacks that must find something."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.models import GPT, GPTConfig


def make_gpt(vocab_size, *, block=32, layers=1, width=32, seed=0):
    shape = GPTConfig(vocab_size, block_size=block, layers=layers, heads=2, width=width)
    model = GPT(shape, rngs=nnx.Rngs(seed))
    model.eval()
    return model


def learn_by_heart(model, tokens, *, steps, rows=16, learning_rate=1e-2, seed=0):
    """The model after Adam on random windows of the tokens, in one compiled scan."""
    graphdef, state = nnx.split(model)
    block, text = model.config.block_size, jnp.asarray(tokens, jnp.int32)
    rule = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))

    def loss(state, starts):
        windows = text[starts[:, None] + jnp.arange(block + 1)[None, :]]
        logits = nnx.merge(graphdef, state)(windows[:, :-1])
        return softmax_cross_entropy(logits, windows[:, 1:]).mean()

    def advance(carry, key):
        state, kept = carry
        starts = jax.random.randint(key, (rows,), 0, len(tokens) - block)
        updates, kept = rule.update(jax.grad(loss)(state, starts), kept, state)
        return (optax.apply_updates(state, updates), kept), None

    @jax.jit
    def train(state, keys):
        return jax.lax.scan(advance, (state, rule.init(state)), keys)[0][0]

    trained = train(state, jax.random.split(jax.random.key(seed), steps))
    return nnx.merge(graphdef, trained)


def random_sentences(count, seed):
    """Lines of pseudo-words: no two texts share more than chance."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghijklmnop"), rng.integers(2, 8))) for _ in range(80)]
    return "".join(" ".join(rng.choice(words, 6)) + ".\n" for _ in range(count))
