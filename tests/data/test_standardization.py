"""Standardisation agrees with scikit-learn's and sees the training rows only."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from xentjax.data import load_breast_cancer, standardize


def test_agrees_with_scikit_learn_on_rows_it_has_not_seen():
    features = load_breast_cancer().features
    train, test = features[:400], features[400:]
    want = StandardScaler().fit(train.astype(np.float64)).transform(test.astype(np.float64))
    got = standardize(train).apply(test)
    assert got.dtype == np.float32
    # Three float32 roundings; the subtraction magnifies the first by |mean/std| < 20 here.
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=40 * np.finfo(np.float32).eps)


def test_training_rows_end_with_mean_zero_and_deviation_one():
    train = load_breast_cancer().features
    got = standardize(train).apply(train).astype(np.float64)
    np.testing.assert_allclose(got.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(got.std(axis=0), 1, atol=1e-5)


def test_constant_feature_becomes_zero():
    # 0.1 in float32 has a mean that rounds, so that the measured deviation is not quite 0.
    train = np.full((1000, 1), 0.1, np.float32)
    np.testing.assert_array_equal(standardize(train).apply(train), np.zeros((1000, 1)))


@pytest.mark.parametrize("shape", [(3,), (0, 4)])
def test_shapes_without_rows_are_refused(shape):
    with pytest.raises(ValueError, match="train_features must have shape"):
        standardize(np.zeros(shape, np.float32))
