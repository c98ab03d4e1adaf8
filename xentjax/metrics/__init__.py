"""Metrics: init / update / merge / compute, pure and jittable, one value however data is split."""

from xentjax.metrics.agreement import accuracy, balanced_accuracy, cohen_kappa, matthews_correlation
from xentjax.metrics.calibration import (
    debiased_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    rms_calibration_error,
)
from xentjax.metrics.confusion import ConfusionMatrix, normalized_confusion
from xentjax.metrics.histogram import ScoreHistogram
from xentjax.metrics.intervals import bootstrap_interval, wilson_interval
from xentjax.metrics.levenshtein import edit_distance
from xentjax.metrics.likelihood import BitsPerByte, BrierScore, LogScore, Perplexity, Sharpness
from xentjax.metrics.mean import Mean
from xentjax.metrics.metric import Metric, merge, merge_devices
from xentjax.metrics.multilabel import MultiLabelConfusion
from xentjax.metrics.ranking import average_precision, roc_auc
from xentjax.metrics.reliability import ClasswiseReliability, Reliability, equal_mass_reliability
from xentjax.metrics.scores import f_beta, hamming_loss, precision, recall, specificity
from xentjax.metrics.sequences import ErrorRate, ExactMatch, TokenAccuracy
from xentjax.metrics.top_k import TopKAccuracy

__all__ = [
    "BitsPerByte",
    "BrierScore",
    "ClasswiseReliability",
    "ConfusionMatrix",
    "ErrorRate",
    "ExactMatch",
    "LogScore",
    "Mean",
    "Metric",
    "MultiLabelConfusion",
    "Perplexity",
    "Reliability",
    "ScoreHistogram",
    "Sharpness",
    "TokenAccuracy",
    "TopKAccuracy",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_interval",
    "cohen_kappa",
    "debiased_calibration_error",
    "edit_distance",
    "equal_mass_reliability",
    "expected_calibration_error",
    "f_beta",
    "hamming_loss",
    "matthews_correlation",
    "maximum_calibration_error",
    "merge",
    "merge_devices",
    "normalized_confusion",
    "precision",
    "recall",
    "rms_calibration_error",
    "roc_auc",
    "specificity",
    "wilson_interval",
]
