"""Influence: which training examples pushed a model towards its answer on another row.

One step of gradient descent on a training example changes the loss of a test example by
−η g_train · g_test. So the product of the two gradients says who helps whom, with no retraining.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from xentjax.audit.given import Given, finite_of, labels_of, rows_of
from xentjax.audit.probe import require_finite
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.train.architecture import split_model


@dataclasses.dataclass(frozen=True)
class Influence:
    """How each training example bears on each test example.

    Attributes:
        dot: float32 [tests, N], g_train · g_test: above 0 a step on the training example lowers
            the loss of the test example. Examples the model finds hard have long gradients and
            lead every list.
        cosine: float32 [tests, N], the same of gradients of length 1: examples that say the same,
            however loudly; 0 where a gradient is 0 in float32.
    """

    dot: np.ndarray
    cosine: np.ndarray

    def most(self, number: int, count: int = 5) -> np.ndarray:
        """The training examples most alike one test example, by cosine, the best first.

        Args:
            number: of the test example.
            count: how many.
        """
        return np.argsort(-self.cosine[number], kind="stable")[:count]


def head_influence(
    hidden: Given,
    logits: Given,
    labels: Given,
    test_hidden: Given,
    test_logits: Given,
    test_labels: Given,
) -> Influence:
    r"""Influence through the last layer alone, whose gradients need no backward pass.

    The gradient of the cross-entropy for the head's weight and bias is (h, 1) ⊗ (p − y), so

        g · g' = (h · h' + 1) · ((p − y) · (p' − y'))

    Prefer it for large data: two matrix products, and memory for two of [tests, N], which for 10⁵
    examples is 0.8 MB a test example. It equals `gradient_influence` of a linear
    model, and ignores what the layers below learned from an example.

    Args:
        hidden: [N, D], what the head reads of the training examples.
        logits: [N, C], what it writes.
        labels: [N], the classes they were trained on.
        test_hidden: [tests, D].
        test_logits: [tests, C].
        test_labels: [tests], the classes whose loss is asked about.

    Returns:
        `Influence`.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a label is out of range, or a number is not finite.

    Example:
        >>> one, none = np.ones((1, 1), np.float32), np.zeros((1, 2), np.float32)
        >>> label = np.array([0])
        >>> found = head_influence(one, none, label, one, none, label)
        >>> found.dot.tolist(), found.cosine.tolist()  # (1 + 1) · (½² + ½²)
        ([[1.0]], [[1.0]])

    Reference:
        G. Pruthi et al., Estimating Training Data Influence by Tracing Gradient Descent, 2020.
    """
    misses, states = _read_head(hidden, logits, labels)
    asked_misses, asked_states = _read_head(test_hidden, test_logits, test_labels, "test_")
    if states.rows.shape[1] != asked_states.rows.shape[1]:
        raise ValueError(
            f"test_hidden must have the {states.rows.shape[1] - 1} features of hidden, got "
            f"{asked_states.rows.shape[1] - 1}"
        )
    if misses.rows.shape[1] != asked_misses.rows.shape[1]:
        raise ValueError(
            f"test_logits must have the {misses.rows.shape[1]} classes of logits, got "
            f"{asked_misses.rows.shape[1]}"
        )
    inner = _products(asked_states.rows, states.rows) * _products(asked_misses.rows, misses.rows)
    # The gradient is an outer product, whose sizes are products.
    sizes, asked_sizes = (
        (state.top * miss.top, state.square * miss.square)
        for state, miss in ((states, misses), (asked_states, asked_misses))
    )
    return _influence(inner, asked_sizes, sizes)


def gradient_influence(
    model: Any,
    features: Given,
    labels: Given,
    test_features: Given,
    test_labels: Given,
    *,
    together: int = 16,
) -> Influence:
    r"""Influence through all parameters: one gradient an example, by vmapped backward passes.

        dot = ∇_θ ℓ(test) · ∇_θ ℓ(train),   ℓ = −log p_y in evaluation mode

    Prefer it where the model and the rows are small, and `head_influence` otherwise. Memory holds
    (tests + together) gradients. It is first order and of the final parameters: it orders
    examples as retraining without them does for models near their optimum, and loosely for
    others.

    Args:
        model: a flax.nnx module, or what `from_linen` or `from_apply` returned; not changed.
        features: [N, …], the training examples.
        labels: [N], the classes they were trained on.
        test_features: [tests, …].
        test_labels: [tests], the classes whose loss is asked about.
        together: how many training gradients are held at once.

    Returns:
        `Influence`.

    Raises:
        TypeError: model is none of these, or labels are not integers.
        ValueError: together is below 1, a label is out of range, or a gradient is not finite.

    Example:
        >>> from flax import nnx
        >>> model = nnx.Linear(1, 2, kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
        >>> x, y = np.ones((2, 1), np.float32), np.array([0, 1])
        >>> found = gradient_influence(model, x, y, x[:1], y[:1])
        >>> found.dot.tolist()  # (1 · 1 + 1) · ±(½² + ½²): the other class pulls away
        [[1.0, -1.0]]

    Reference:
        G. Pruthi et al., Estimating Training Data Influence by Tracing Gradient Descent, 2020;
        G. Charpiat et al., Input Similarity from the Neural Network Perspective, 2019.
    """
    if together < 1:
        raise ValueError(f"together must be at least 1, got {together}")
    architecture, params, rest = split_model(model)
    classes = jax.eval_shape(
        lambda x: architecture.merge(params, rest, training=False, key=None)(x),
        jnp.asarray(rows_of(test_features, "test_features")),
    ).shape[-1]
    rows = _read_rows(features, labels, classes)
    tests = _read_rows(test_features, test_labels, classes, "test_")
    asked = _asked(architecture, params, rest, tests)
    inner, sizes = _inner(
        architecture, params, rest, asked.rows, rows, together=min(together, len(rows[1]))
    )
    return _influence(inner.T, (asked.top, asked.square), sizes)


class _Scaled(NamedTuple):
    """Gradients over their largest entries: those of sure answers have squares below float32."""

    rows: Array  # [n, P], entries in [−1, 1]
    top: Array  # [n], what each row was divided by
    square: Array  # [n], ‖row‖²


def _scaled(rows: Array) -> _Scaled:
    top = jnp.abs(rows).max(axis=1)
    scaled = rows / jnp.where(top > 0, top, 1)[:, None]
    return _Scaled(scaled, top, (scaled**2).sum(axis=1))


def _influence(inner: Array, asked: tuple[Array, Array], given: tuple[Array, Array]) -> Influence:
    """From products of scaled gradients [tests, N], and (top, square) of both."""
    square = asked[1][:, None] * given[1][None, :]
    cosine = jnp.where(square > 0, inner / jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    dot = inner * asked[0][:, None] * given[0][None, :]
    return Influence(require_finite(dot, "gradients"), require_finite(cosine, "gradients"))


def _products(first: Array, second: Array) -> Array:
    return jnp.matmul(first, second.T, precision=jax.lax.Precision.HIGHEST)


def _read_rows(features, labels, classes, which="") -> tuple[Array, Array]:
    x = rows_of(features, f"{which}features")
    y = labels_of(labels, f"{which}labels", rows=len(x), classes=classes)
    return jnp.asarray(x), jnp.asarray(y, jnp.int32)


def _read_head(hidden, logits, labels, which="") -> tuple[_Scaled, _Scaled]:
    """Of each row p − y, the gradient of the cross-entropy for the logits, and the state."""
    z = finite_of(logits, f"{which}logits", "N C")
    y = labels_of(labels, f"{which}labels", rows=len(z), classes=z.shape[1])
    h = finite_of(hidden, f"{which}hidden", "N D")
    if len(h) != len(z):
        raise ValueError(f"{which}hidden must have {len(z)} rows like {which}logits, got {len(h)}")
    misses = jax.grad(
        lambda z: softmax_cross_entropy(z, jnp.asarray(y, jnp.int32), reduction="sum")
    )(jnp.asarray(z, jnp.float32))
    return _scaled(misses), _scaled(_with_one(jnp.asarray(h, jnp.float32)))


def _with_one(hidden: Array) -> Array:
    """Beside each state the 1 that the bias is multiplied by."""
    return jnp.pad(hidden, ((0, 0), (0, 1)), constant_values=1)


def _gradient(architecture, params, rest, one):
    """Of one example, as one long row."""
    x, label = one

    def loss(params):
        model = architecture.merge(params, rest, training=False, key=None)
        return softmax_cross_entropy(model(x[None]).astype(jnp.float32), label[None])[0]

    return ravel_pytree(jax.grad(loss)(params))[0].astype(jnp.float32)


@partial(jax.jit, static_argnames="architecture")
def _asked(architecture, params, rest, tests):
    return _scaled(jax.vmap(partial(_gradient, architecture, params, rest))(tests))


@partial(jax.jit, static_argnames=("architecture", "together"))
def _inner(architecture, params, rest, asked, rows, *, together):
    def against(one):
        gradient = _scaled(_gradient(architecture, params, rest, one)[None])
        products = _products(asked, gradient.rows)[:, 0]
        return products, (gradient.top[0], gradient.square[0])

    return jax.lax.map(against, rows, batch_size=together)
