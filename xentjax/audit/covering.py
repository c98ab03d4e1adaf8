"""Covering: what a classifier's answer loses when a part of its input is taken away."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Num

from xentjax.audit.given import Given, array_of
from xentjax.audit.probe import (
    Labels,
    Predict,
    Rows,
    label_scores,
    like_rows,
    read_rows,
    require_finite,
    require_score,
    row_shaped,
)


def occlusion(
    predict: Predict,
    features: Rows,
    labels: Labels,
    *,
    patches: Given | None = None,
    fill: Num[ArrayLike, "..."] = 0.0,
    of: str = "logit",
) -> Float[np.ndarray, "rows ..."]:
    r"""What the score loses when a patch of features is covered: no gradient, only questions.

        mean over the patches P that hold j of s_y(x) − s_y(x with P filled)

    Prefer it where gradients mislead (saturated or piecewise constant models), and to explain to
    people. One forward pass a patch. Covering makes rows such as the model has never seen.

    Args:
        predict: features [n, …] → logits [n, C], each row by itself; needs no derivative.
        features: [n, …], floating point.
        labels: integer [n], the class whose score is explained.
        patches: bool, a mask of the shape of one row for each patch, such as `square_patches`
            makes; every feature by itself when None, which takes as many passes as a row has
            features, and their square in bytes: give patches from some ten thousand on.
        fill: what covers: a number, one row, or a row for each row.
        of: "logit" or "log_probability".

    Returns:
        float32, the shape of `features`, in units of the score; 0 for a feature in no patch.

    Raises:
        TypeError: features are not floating point, or patches not boolean.
        ValueError: as for `gradient_saliency`, or patches or fill do not fit.

    Example:
        >>> both = lambda x: jnp.stack([jnp.minimum(x[:, 0], x[:, 1]), 0 * x[:, 0]], axis=1)
        >>> x, y = jnp.array([[1.0, 1.0]]), jnp.array([0])
        >>> occlusion(both, x, y).tolist()  # without either, all of it is lost
        [[1.0, 1.0]]

    Reference:
        M. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, 2014.
    """
    require_score(of)
    x, y = read_rows(predict, features, labels)
    if patches is None:
        size = int(np.prod(x.shape[1:]))
        patches = np.eye(size, dtype=bool).reshape(size, *x.shape[1:])
    patches = array_of(patches, "patches")
    if patches.dtype != bool:
        raise TypeError(f"patches must be boolean masks, got {patches.dtype}")
    if patches.shape[1:] != x.shape[1:] or len(patches) == 0:
        raise ValueError(
            f"patches must be masks of one row, [patches, {x.shape[1:]}], got {patches.shape}"
        )
    cover = row_shaped(fill, x, "fill")
    return require_finite(_occluded(predict, x, y, cover, jnp.asarray(patches), of=of), "scores")


def square_patches(shape: tuple[int, ...], side: int) -> Bool[np.ndarray, "patches ..."]:
    """Masks of the squares that tile an image, those at the edge cut off.

    Args:
        shape: of one image, [height, width] or [height, width, channels].
        side: of a square, in pixels.

    Returns:
        bool [patches, *shape], row by row.

    Raises:
        ValueError: shape has fewer than two axes, or side is below 1.

    Example:
        >>> square_patches((2, 3), 2).astype(int).tolist()
        [[[1, 1, 0], [1, 1, 0]], [[0, 0, 1], [0, 0, 1]]]
    """
    if len(shape) < 2 or side < 1:
        raise ValueError(f"shape needs two axes and side at least 1, got {shape} and {side}")
    rows, columns = (np.arange(n) // side for n in shape[:2])
    number = rows[:, None] * (columns[-1] + 1) + columns[None, :]
    masks = number[None] == np.arange(number.max() + 1)[:, None, None]
    return np.broadcast_to(
        masks.reshape(masks.shape + (1,) * (len(shape) - 2)), (len(masks), *shape)
    )


@partial(jax.jit, static_argnames=("predict", "of"))
def _occluded(predict, x, labels, cover, patches, *, of):
    whole = label_scores(predict, x, labels, of)

    def add(total, patch):
        covered = jnp.where(patch[None], cover, x)
        lost = whole - label_scores(predict, covered, labels, of)
        return total + like_rows(lost, x) * patch[None], None

    total = jax.lax.scan(add, jnp.zeros_like(x), patches)[0]
    return total / jnp.maximum(patches.sum(axis=0), 1)[None]
