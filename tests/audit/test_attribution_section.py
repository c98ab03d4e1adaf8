"""The section trusts an explanation that beats chance, and says so when it cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.sections.attribution import attribution_section

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 9)).astype(np.float32)
W = RNG.normal(size=(9, 3)).astype(np.float32)


def make_subject(predict, features=X, labels=None, classes=3, **changes):
    logits = np.asarray(predict(jnp.asarray(features)), np.float32)
    labels = logits.argmax(axis=1) if labels is None else labels
    rows = Rows(features, labels.astype(np.int32), logits)
    width = int(np.prod(features.shape[1:]))

    def make_model(key):
        flat = nnx.Linear(width, classes, rngs=nnx.Rngs(key))
        if features.ndim == 2:
            return flat
        return nnx.Sequential(lambda x: x.reshape(len(x), width), flat)

    return Classifier(
        name="tiny",
        class_names=tuple(f"class {c}" for c in range(classes)),
        train=rows,
        validation=rows,
        test=rows,
        predict=predict,
        make_model=make_model,
        steps=1,
        batch_size=1,
        learning_rate=0.1,
        **changes,
    )


def linear(x):
    return x.reshape(len(x), 9) @ W


def test_a_linear_model_is_explained_and_its_explanation_is_its_own():
    found = attribution_section(make_subject(linear))
    better, alike, gap = found.measures
    assert found.verdict == "good"
    assert better.low is not None
    assert better.low > 0.05
    assert alike.high is not None
    assert alike.high < 0.5
    assert gap.value < 1e-4
    assert len(found.pictures) == 2
    assert any("model=" in text for text in found.unmeasured)


def test_a_model_that_ignores_its_features_has_no_reasons():
    found = attribution_section(make_subject(lambda x: 0 * linear(x) + jnp.arange(3.0)[None]))
    assert found.measures[0].verdict == "watch"
    assert "not enough" in found.finding
    assert any("untrained" in text for text in found.unmeasured)


def test_an_untrained_model_that_is_the_model_is_noticed():
    """An attribution that a fresh model shares is not about what was learned."""
    subject = make_subject(linear)

    def same(key):
        model = nnx.Linear(9, 3, rngs=nnx.Rngs(key))
        model.kernel[...] = jnp.asarray(W)
        return model

    found = attribution_section(
        Classifier(**{**subject.__dict__, "make_model": same}),
    )
    assert found.measures[1].verdict == "act"
    assert found.verdict == "act"
    assert "follow the input" in found.advice[0]


def test_influence_names_the_training_rows_themselves():
    model = nnx.Linear(9, 3, rngs=nnx.Rngs(0))
    model.kernel[...] = jnp.asarray(W)
    found = attribution_section(make_subject(linear), model=model, rows=20)
    grid = next(grid for grid in found.grids if "Training rows" in grid.title)
    # The training rows are the test rows, so the nearest to each is itself, with a cosine of 1.
    for test, _, nearest in grid.rows:
        assert nearest.startswith(f"{test} (")
        assert "1.00)" in nearest.split(",")[1]


@pytest.mark.parametrize(
    "shape",
    [(9,), *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(3, 3), (3, 3, 1)])],
)
def test_images_flat_or_not_get_a_gallery(shape):
    subject = make_subject(linear, X.reshape(60, *shape), image_shape=(3, 3))
    found = attribution_section(subject, rows=20)
    assert "hang on" in found.pictures[0].title
    assert found.pictures[0].svg.startswith("<?xml")


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (5, [0, 1, 2, 0, 1]),
        pytest.param(1, [2], marks=pytest.mark.slow),
        pytest.param(30, [0] * 30, marks=pytest.mark.slow),
        pytest.param(30, [2] * 30, marks=pytest.mark.slow),
    ],
)
def test_odd_subjects_do_not_raise(rows, labels):
    def never_two(x):
        return linear(x) - jnp.array([[0.0, 0.0, 99.0]])

    subject = make_subject(never_two, X[:rows], np.array(labels))
    found = attribution_section(subject)
    assert (found.verdict == "unmeasured") == (rows < 20)


def test_what_does_not_fit_is_said():
    tokens = make_subject(lambda x: jax.nn.one_hot(x[:, 0], 3), np.array([[0], [1]]))
    assert attribution_section(tokens).verdict == "unmeasured"
    with pytest.raises(ValueError, match="feature_names must be 9"):
        attribution_section(make_subject(linear), feature_names=["one"])
    with pytest.raises(ValueError, match="rows must be at least 1"):
        attribution_section(make_subject(linear), rows=0)
