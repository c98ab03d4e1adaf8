"""Subjects: made of a run that was read from disk, and what a report says of any of them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.language_model import LanguageModel
from xentjax.jobs.config import ImageConfig
from xentjax.jobs.reading import TrainedClassifier, TrainedLanguage
from xentjax.jobs.tabular import SIDE

# Cohorts are trained by AdamW: the peak of another kind of rule would be no peak for it.
_OF_ITS_KIND = frozenset({"adam", "adamw", "nadamw"})
# What divides the test rows into groups of about equal size, by data set.
_GROUPINGS = {
    "digits": ("ink", ("thin strokes", "medium strokes", "thick strokes")),
    "breast_cancer": ("size of the tumour", ("small", "medium", "large")),
}


def classifier_subject(trained: TrainedClassifier) -> Classifier:
    """The classifier of a run with its logits on all splits.

    Args:
        trained: from `read_run`.
    """
    model = trained.state.to_model()

    def predict(features: Any) -> Any:
        return model(features).astype(jnp.float32)

    compiled = jax.jit(predict)
    rows = {
        name: Rows(
            features=part["features"],
            labels=part["labels"],
            logits=np.asarray(compiled(jnp.asarray(part["features"]))),
        )
        for name, part in trained.parts.items()
    }
    config = trained.config
    return Classifier(
        name=trained.run.name,
        class_names=trained.table.class_names,
        **rows,
        predict=predict,
        make_model=trained.task.make_model,
        steps=trained.steps,
        batch_size=config.batch_size,
        learning_rate=_learning_rate(trained),
        image_shape=(SIDE, SIDE) if trained.table.name == "digits" else None,
        groups=_groups(trained.table.name, trained.parts),
    )


def language_subject(trained: TrainedLanguage) -> LanguageModel:
    """The language model of a run.

    Args:
        trained: from `read_run`.
    """
    return LanguageModel(
        name=trained.run.name,
        model=trained.state.to_model(),
        tokenizer=trained.corpus.tokenizer,
        tokens={name: part.astype(np.int32) for name, part in trained.corpus.tokens.items()},
        block=trained.config.block,
        canaries=trained.canaries,
    )


def model_name(trained: TrainedClassifier | TrainedLanguage) -> str:
    """What kind of model it is."""
    if isinstance(trained, TrainedLanguage):
        return "GPT"
    return "CNN" if isinstance(trained.config, ImageConfig) else "MLP"


def split_sizes(subject: Classifier | LanguageModel) -> dict[str, int]:
    """How much each split holds, such as "training rows" → 1259."""
    unit = "tokens" if isinstance(subject, LanguageModel) else "rows"
    return {
        f"{'training' if name == 'train' else name} {unit}": len(arrays[-1])
        for name, arrays in _splits(subject).items()
    }


def subject_sha256(subject: Classifier | LanguageModel) -> str:
    """A hash of all data of a subject: shapes, dtypes and bytes of every split."""
    found = hashlib.sha256()
    for name, arrays in _splits(subject).items():
        for array in map(np.asarray, arrays):
            found.update(f"{name} {array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def count_parameters(model: Any) -> int:
    """How many numbers of an nnx model are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def _splits(subject: Classifier | LanguageModel) -> dict[str, tuple[np.ndarray, ...]]:
    if isinstance(subject, LanguageModel):
        return {name: (tokens,) for name, tokens in subject.tokens.items()}
    rows = {"train": subject.train, "validation": subject.validation, "test": subject.test}
    return {name: (part.features, part.labels) for name, part in rows.items()}


def _learning_rate(trained: TrainedClassifier) -> float:
    options = trained.config.training
    if options.learning_rate is None or options.optimizer not in _OF_ITS_KIND:
        return trained.task.learning_rate
    return options.learning_rate


def _groups(name: str, parts: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Thirds of the training rows by one trait, applied to the test rows."""
    if name not in _GROUPINGS:
        return {}
    trait, names = _GROUPINGS[name]
    train, test = (_trait(name, parts[split]["features"]) for split in ("train", "test"))
    thirds = np.quantile(train, (1 / 3, 2 / 3))
    return {trait: np.array(names)[np.searchsorted(thirds, test)]}


def _trait(name: str, features: np.ndarray) -> np.ndarray:
    """Mean ink of a digit; the mean radius of a tumour, the first of its measurements."""
    flat = features.reshape(len(features), -1)
    return flat.mean(axis=1) if name == "digits" else flat[:, 0]
