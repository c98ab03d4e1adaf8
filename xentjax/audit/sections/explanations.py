"""What the section on explanations shows: rows, their attributions, and the pictures of both."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.covering import occlusion, square_patches
from xentjax.audit.saliency import gradient_saliency, smooth_grad
from xentjax.audit.section import Picture, picture
from xentjax.metrics.intervals import bootstrap_interval
from xentjax.plots.attribution import ExplainedImage, draw_explained_images, draw_feature_bars

# Occlusion of a table takes one pass of all rows for each feature.
OCCLUDED_FEATURES = 512
_BARS = 12
_IMAGES = 4


class Explained(NamedTuple):
    """Rows of the test split, the answers that are explained, and what covers a feature."""

    features: np.ndarray
    labels: np.ndarray
    answers: np.ndarray
    baseline: np.ndarray


def explained_rows(subject: Classifier, rows: int, seed: int) -> Explained:
    """Some test rows, and what stands for a feature that is not there."""
    test = subject.test
    order = np.random.default_rng(seed).permutation(len(test.labels))[:rows]
    train = subject.train.features
    # Nothing on an image is its darkest value (no ink); nothing of a column is its mean.
    if subject.image_shape is not None:
        baseline = np.full(train.shape[1:], train.min(), np.float32)
    else:
        baseline = train.mean(axis=0).astype(np.float32)
    answers = test.logits[order].argmax(axis=1)
    return Explained(test.features[order], test.labels[order], answers, baseline)


def other_maps(subject: Classifier, chosen: Explained, seed: int) -> dict[str, np.ndarray]:
    """The attributions beside integrated gradients, by name; no occlusion of wide tables."""
    asked = (subject.predict, chosen.features, chosen.answers)
    train = subject.train.features
    spread = train.max() - train.min() if subject.image_shape else np.ptp(train, axis=0)
    maps = {
        "saliency": gradient_saliency(*asked),
        "SmoothGrad": smooth_grad(*asked, key=jax.random.key(seed), spread=spread),
    }
    shape = chosen.features.shape[1:]
    patches = None
    if subject.image_shape is not None:
        side = max(1, min(subject.image_shape) // 4)
        squares = square_patches(subject.image_shape, side)
        spare = int(np.prod(shape)) // int(np.prod(subject.image_shape))
        patches = np.repeat(squares[..., None], spare, axis=-1).reshape(-1, *shape)
    if patches is not None or np.prod(shape) <= OCCLUDED_FEATURES:
        maps["occlusion"] = occlusion(*asked, patches=patches, fill=chosen.baseline)
    return maps


def explanation_pictures(
    subject: Classifier,
    chosen: Explained,
    maps: Mapping[str, np.ndarray],
    feature_names: Sequence[str] | None,
    seed: int,
) -> list[Picture]:
    """A gallery for images, bars over all rows for tables."""
    if subject.image_shape is not None:
        return [_gallery(subject, chosen, maps)]
    return [_bars(chosen, maps["integrated"], feature_names, seed)]


def as_image(row: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """One row as [height, width] or, with channels, [height, width, channels]."""
    return row.reshape(*shape, -1)


def called(subject: Classifier, label: int, answer: int) -> str:
    """What a row is, and what it was taken for."""
    names = subject.class_names
    return names[label] if label == answer else f"{names[label]}, read as {names[answer]}"


def _gallery(subject: Classifier, chosen: Explained, maps: Mapping[str, np.ndarray]) -> Picture:
    shape = subject.image_shape
    assert shape is not None
    # Wrong answers first, for they ask for an explanation; then right ones of several classes.
    wrong = np.flatnonzero(chosen.labels != chosen.answers)[: _IMAGES // 2]
    right = np.flatnonzero(chosen.labels == chosen.answers)
    right = right[np.sort(np.unique(chosen.answers[right], return_index=True)[1])]
    shown = [*wrong, *right[: _IMAGES - len(wrong)]]
    examples = [
        ExplainedImage(
            called(subject, int(chosen.labels[i]), int(chosen.answers[i])),
            as_image(chosen.features[i], shape),
            {name: as_image(each[i], shape).sum(axis=-1) for name, each in maps.items()},
        )
        for i in shown
    ]
    return picture(
        "What the answers hang on",
        "Each row is a test image and what four methods say of it: red pixels speak for the "
        "model's answer, blue ones against it; saliency has no sign.",
        draw_explained_images,
        examples,
        "What the answers hang on",
    )


def _bars(
    chosen: Explained, attributions: np.ndarray, names: Sequence[str] | None, seed: int
) -> Picture:
    sizes = np.abs(attributions.reshape(len(attributions), -1))
    if names is not None and len(names) != sizes.shape[1]:
        raise ValueError(f"feature_names must be {sizes.shape[1]}, one a feature, got {len(names)}")
    known = names or [f"feature {number + 1}" for number in range(sizes.shape[1])]
    top = np.argsort(-sizes.mean(axis=0), kind="stable")[:_BARS]
    found = bootstrap_interval(jax.random.key(seed), _column_means, sizes[:, top])
    title = f"The {len(top)} features that answers hang on most"
    return picture(
        title,
        f"Mean size of integrated gradients over {len(chosen.labels)} test rows, with 95 % "
        f"intervals. First is {known[int(top[0])]}.",
        draw_feature_bars,
        [known[int(number)] for number in top],
        np.asarray(found.estimate),
        np.stack([found.low, found.high], axis=1),
        title,
    )


def _column_means(values: jax.Array) -> jax.Array:
    return jnp.mean(values, axis=0)
