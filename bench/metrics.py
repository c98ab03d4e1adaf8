"""Metrics over one set of predictions, beside scikit-learn, and torch where its users would.

Each is the value of a whole evaluation at once: `update` and `compute` in one jitted call, the
arrays on the device. scikit-learn gets the same numbers in numpy and checks its input, as ours does
not under jit. There is no floor: counting, sorting and summing have nothing in common.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bench.effort import Effort
from bench.heat import Heat
from bench.lineup import Contestant, TimedLineup, ours, peer
from bench.tensors import has_torch, tensors_of
from xentjax import metrics
from xentjax.timing import Plain

SKLEARN, TORCH = "scikit-learn", "torch"
# N examples of C classes: a test set, and the tokens of an evaluation.
SIZES, FULL = ((10_000, 10), (100_000, 100)), ((1_000_000, 10),)


class Predictions(NamedTuple):
    """Probabilities [N, C] of classes, labels [N], scores [N] of an event and whether it came."""

    probabilities: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    events: np.ndarray


class Score(NamedTuple):
    """A score by all who have it; each takes `Predictions` in its own arrays."""

    ours: Callable[..., Any]
    sklearn: Callable[..., Any]
    torch: Callable[..., Any] | None = None


def heats(effort: Effort) -> Iterator[Heat]:
    for n, classes in SIZES + (FULL if effort.full else ()):
        for name, score in SCORES.items():
            hold = TimedLineup(partial(lineup, score, n, classes), budget=1.5)
            yield Heat(f"{n} examples of {classes} classes", name, hold)


@lru_cache(maxsize=1)
def drawn(n: int, classes: int, seed: int = 0) -> Predictions:
    """Predictions that are better than chance, scores rounded so that some are tied."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n, dtype=np.int32)
    logits = rng.standard_normal((n, classes), dtype=np.float32)
    logits[np.arange(n), labels] += 2
    exponentials = np.exp(logits)
    events = rng.integers(2, size=n, dtype=np.int32)
    scores = np.round(rng.standard_normal(n) + events, 3).astype(np.float32)
    return Predictions(exponentials / exponentials.sum(1, keepdims=True), labels, scores, events)


def lineup(score: Score, n: int, classes: int) -> dict[str, Contestant]:
    predictions = drawn(n, classes)
    entries = {"xentjax": ours(score.ours, tuple(jax.device_put(tuple(predictions))))}
    if find_spec("sklearn"):
        entries[SKLEARN] = peer(Plain(score.sklearn), tuple(predictions))
    if score.torch is not None and has_torch():
        entries[TORCH] = peer(Plain(score.torch), tensors_of(predictions))
    return entries


def _updated(metric: Any, *batch: Any) -> Any:
    return metric.compute(metric.update(metric.init(), *batch))


def _confusion(p: Any, labels: Any, *_: Any) -> Any:
    return _updated(metrics.ConfusionMatrix(p.shape[1]), jnp.argmax(p, -1), labels)


def _of_confusion(score: Callable[..., Any], *predictions: Any) -> Any:
    return score(_confusion(*predictions))


def _of_classes(score: str, options: Mapping[str, Any], p: Any, labels: Any, *_: Any) -> Any:
    from sklearn import metrics as theirs

    return getattr(theirs, score)(labels, p.argmax(1), **options)


def _of_probabilities(score: str, options: Mapping[str, Any], p: Any, labels: Any, *_: Any) -> Any:
    from sklearn import metrics as theirs

    return getattr(theirs, score)(labels, p, labels=np.arange(p.shape[1]), **options)


def _of_scores(score: str, _p: Any, _labels: Any, scores: Any, events: Any) -> Any:
    from sklearn import metrics as theirs

    return getattr(theirs, score)(events, scores)


def _torch_confusion(p: Any, labels: Any, *_: Any) -> Any:
    classes = p.shape[1]
    cells = labels * classes + p.argmax(1)
    return cells.bincount(minlength=classes**2).reshape(classes, classes)


def _torch_top_5(p: Any, labels: Any, *_: Any) -> Any:
    return (p.topk(5).indices == labels[:, None]).any(1).double().mean()


def _torch_log_score(p: Any, labels: Any, *_: Any) -> Any:
    from torch.nn.functional import nll_loss  # pyright: ignore[reportMissingImports]

    return nll_loss(p.log(), labels)


SCORES: dict[str, Score] = {
    "confusion matrix": Score(
        _confusion, partial(_of_classes, "confusion_matrix", {}), _torch_confusion
    ),
    "balanced accuracy": Score(
        partial(_of_confusion, metrics.balanced_accuracy),
        partial(_of_classes, "balanced_accuracy_score", {}),
    ),
    "macro F1": Score(
        partial(_of_confusion, partial(metrics.f_beta, average="macro")),
        partial(_of_classes, "f1_score", {"average": "macro"}),
    ),
    "Cohen's kappa": Score(
        partial(_of_confusion, metrics.cohen_kappa), partial(_of_classes, "cohen_kappa_score", {})
    ),
    "Matthews correlation": Score(
        partial(_of_confusion, metrics.matthews_correlation),
        partial(_of_classes, "matthews_corrcoef", {}),
    ),
    "top-5 accuracy": Score(
        lambda p, labels, *_: _updated(metrics.TopKAccuracy(5), p, labels),
        partial(_of_probabilities, "top_k_accuracy_score", {"k": 5}),
        _torch_top_5,
    ),
    "log score": Score(
        lambda p, labels, *_: _updated(metrics.LogScore(), jnp.log(p), labels),
        partial(_of_probabilities, "log_loss", {}),
        _torch_log_score,
    ),
    "ROC AUC": Score(
        lambda _p, _labels, scores, events: metrics.roc_auc(scores, events),
        partial(_of_scores, "roc_auc_score"),
    ),
    "average precision": Score(
        lambda _p, _labels, scores, events: metrics.average_precision(scores, events),
        partial(_of_scores, "average_precision_score"),
    ),
}
