"""Top-k accuracy against scikit-learn, ties and all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from tests.metrics.labelled import Agreement, masks_and_weights, quietly
from xentjax.metrics.top_k import TopKAccuracy

CASES, N, C = 120, 20, 5


def test_equal_to_scikit_learn_with_ties_too(report_figure):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(CASES, N, C)).astype(np.float32)
    scores[::3] = np.round(scores[::3])  # many ties
    scores[::9] = 0.0  # nothing but ties
    labels = rng.integers(0, C, (CASES, N))
    labels[5::10] = 2
    where, weights = masks_and_weights(rng, CASES, N)

    def accuracies(scores, labels, where, weights):
        return [
            top.compute(top.update(top.init(), scores, labels, where=where, weights=weights))
            for top in map(TopKAccuracy, range(1, C + 1))
        ]

    found = np.stack(jax.jit(jax.vmap(accuracies))(scores, labels, where, weights))
    agreement = Agreement()
    for i, keep in enumerate(where):
        for k in range(1, C + 1):
            truth = quietly(
                sk.top_k_accuracy_score, labels[i][keep], scores[i][keep], k=k, labels=range(C),
                sample_weight=weights[i][keep].astype(np.float64),
            )  # fmt: skip
            agreement.add(found[k - 1, i], truth, (i, k))
    report_figure(f"top-k accuracy against scikit-learn: {agreement}")


def test_constant_scores_are_right_for_k_classes_only():
    top2, labels = TopKAccuracy(2), jnp.arange(C)
    assert top2.compute(top2.update(top2.init(), jnp.zeros((C, C)), labels)) == np.float32(2 / C)


def test_a_class_at_minus_infinity_comes_last():
    top, scores = TopKAccuracy(1), jnp.array([[-jnp.inf, 0.0], [0.0, -jnp.inf]])
    assert top.compute(top.update(top.init(), scores, jnp.array([1, 1]))) == 0.5


def test_bad_input_is_refused_or_nan():
    top, scores = TopKAccuracy(2), np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        TopKAccuracy(0)
    with pytest.raises(ValueError, match=r"at least k = 2, got shape \(2, 1\)"):
        top.update(top.init(), scores[:, :1], np.array([0, 0]))
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got 3 at position \(1,\)"):
        top.update(top.init(), scores, np.array([0, 3]))
    with pytest.raises(TypeError, match="labels must be integer class indices, got float32"):
        top.update(top.init(), scores, np.zeros(2, np.float32))
    holes = np.array([[0, np.nan, 0], [0, 0, 0]], np.float32)
    with pytest.raises(ValueError, match=r"scores must not be NaN, got nan at position \(0, 1\)"):
        top.update(top.init(), holes, np.array([0, 0]))
    update = jax.jit(top.update)
    assert np.isnan(top.compute(update(top.init(), holes, np.array([0, 0]))))
    assert np.isnan(top.compute(update(top.init(), scores, np.array([0, -1]))))
    masked = update(top.init(), holes, np.array([7, 2]), where=np.array([False, True]))
    assert top.compute(masked) == 1
