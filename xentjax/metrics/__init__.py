"""Metrics: init / update / merge / compute, pure and jittable, one value however data is split."""

from xentjax.metrics.mean import Mean
from xentjax.metrics.metric import Metric, merge, merge_devices

__all__ = ["Mean", "Metric", "merge", "merge_devices"]
