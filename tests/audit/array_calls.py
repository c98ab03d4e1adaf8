"""Calls: how every public function of the audit that takes arrays is called, in one table.

A new public function must be entered in `CALLS`, or in `NO_ARRAYS` with those that take none.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xentjax import audit
from xentjax.audit.attack_curves import AttackCurve
from xentjax.audit.overfitting import Outcomes, References
from xentjax.audit.selective import ConfidenceThreshold
from xentjax.audit.suffix_array import sort_suffixes
from xentjax.data import ByteTokenizer
from xentjax.models import GPT, GPTConfig

# All exact in float32, so that a list and a JAX array hold the same numbers.
LOGITS = np.array([[2.0, 0.5], [0.25, 1.5], [1.0, 0.0], [0.5, 2.5], [3.0, 1.0], [0.0, 1.0]])
LABELS = np.array([0, 1, 1, 1, 0, 0])
PROBS = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.125, 0.875], [1, 0], [0.75, 0.25]])
FEATURES = np.array([[1.0, 2.0], [0.5, 1.0], [4.0, 0.0], [2.5, 1.5], [0.25, 3.0], [2.0, 2.0]])
SCORES = np.array([0.5, 2.0, 1.0, 4.0, 3.0, 0.25])
HITS = np.array([True, False, True, True, False, True])
SHADOWS = np.array([[2.0, 1.0], [1.0, -1.0], [0.5, 2.0], [-1.0, 0.5], [1.5, 1.0], [0.0, 1.0]])
SEEN = SHADOWS > 0.75
TOKENS = np.array([3, 1, 2, 3, 1, 0, 2, 3])
KEY = jax.random.key(0)
CURVE = AttackCurve(np.zeros(1), np.ones(1), np.ones(1), np.ones(1), np.ones((1, 6), bool))
TRAINING = {"steps": 2, "batch_size": 4}


def linear(key):
    return nnx.Linear(2, 2, rngs=nnx.Rngs(key))


def predict(x):
    return x * jnp.array([[1.0, -0.5]]) + jnp.array([[0.0, 0.25]])


def gpt():
    return GPT(GPTConfig(vocab_size=4, width=8, heads=1, layers=1), rngs=nnx.Rngs(0))


@dataclasses.dataclass(frozen=True)
class Call:
    """How a function is called, and what it lets pass that others refuse.

    Attributes:
        given: its arrays by name.
        more: its other arguments; those that have a state are made anew by calling them.
        call: what is called instead, where the arrays are in a record.
        allowed: damages (see `DAMAGES`) that have a meaning here, each for all arrays or for some,
            as "name: damage".
    """

    given: Mapping[str, Any]
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    call: Callable[..., Any] | None = None
    allowed: tuple[str, ...] = ()


ROWS = {"features": FEATURES, "labels": LABELS}
OF_LOGITS = {"logits": LOGITS, "labels": LABELS}
ASKED = {"predict": predict}
GROUPED = {"predictions": LABELS[::-1], "labels": LABELS}
GROUPS = {"groups": ["a", "b"] * 3, "classes": 2}
ALONE: dict[str, Any] = {"allowed": ("labels: too short",)}
ANY_LABEL: dict[str, Any] = {
    "allowed": ("labels: of no class", "labels: negative", "features: another axis")
}
NEAR: dict[str, Any] = {"allowed": ("another axis", "empty")}
SPLIT: dict[str, Any] = {"references": References(1.0, 1.0), "resamples": 20}


def generalization(losses, hits):
    return audit.generalization(*[Outcomes(losses, hits)] * 3, **SPLIT)


CALLS = {
    "attack_curve": Call(ROWS | {"epsilons": np.array([0.0, 0.5])}, ASKED | {"attack": audit.fgsm}),
    "attention_rollout": Call({"weights": np.full((1, 1, 2, 2), 0.5)}),
    "brier_decomposition": Call(OF_LOGITS),
    "choose_threshold": Call({"confidence": SCORES, "correct": HITS}, {"accuracy": 0.5}),
    "class_balance": Call({"labels": LABELS}, {"classes": 2, "resamples": 9}, **ALONE),
    "confident_joint": Call({"probs": PROBS, "labels": LABELS}),
    "conformal_quantile": Call({"scores": SCORES}, {"alpha": 0.5}, allowed=("empty",)),
    "deletion_curve": Call(ROWS | {"attributions": FEATURES}, ASKED | {"steps": 2, "orders": 1}),
    "detect": Call({"inside": SCORES, "outside": SCORES - 1, "calibration": SCORES}),
    "energy_score": Call({"logits": LOGITS}),
    "exact_groups": Call({"features": FEATURES}, allowed=("another axis", "empty", "NaN")),
    "exposure_of_losses": Call({"losses": SCORES, "alternatives": SCORES}, {"space": 9}),
    "extract_verbatim": Call(
        {"source": TOKENS},
        {
            "model": gpt,
            "training": sort_suffixes(TOKENS),
            "prompt_lengths": (2,),
            "length": 2,
            "targets": (2,),
        },
    ),
    "fairness_gaps": Call(GROUPED | {"weights": SCORES}, GROUPS | {"resamples": 20}),
    "fgsm": Call(ROWS, ASKED | {"epsilon": 0.5}),
    "find_label_errors": Call({"probs": PROBS, "labels": LABELS}),
    "find_leaks": Call(
        {"test": FEATURES, "train": FEATURES[:3]},
        {"threshold": 0.5},
        **NEAR,
    ),
    "fit_aps": Call(OF_LOGITS, {"alpha": 0.5}),
    "fit_classwise_aps": Call(OF_LOGITS, {"alpha": 0.5}),
    "fit_power_law": Call(
        {"sizes": np.array([1, 2, 4, 8]), "losses": np.array([[4.0], [2.0], [1.5], [1.0]])},
        allowed=("sizes: whole floats",),
    ),
    "fit_raps": Call(OF_LOGITS, {"alpha": 0.5}),
    "fit_temperature": Call(OF_LOGITS),
    "fit_vector_scaling": Call(OF_LOGITS),
    "flipped_labels": Call(
        {"labels": LABELS},
        {"share": 0.5, "classes": 2, "rng": lambda: np.random.default_rng(0)},
        **ALONE,
    ),
    "generalization": Call(
        {"losses": SCORES, "hits": HITS}, call=generalization, allowed=("hits: 0 and 1",)
    ),
    "gradient_influence": Call(
        ROWS | {"test_features": FEATURES, "test_labels": LABELS}, {"model": partial(linear, KEY)}
    ),
    "gradient_masking": Call(ROWS, ASKED | {"one_step": CURVE, "many_steps": CURVE, "null": CURVE}),
    "gradient_saliency": Call(ROWS, ASKED),
    "gradient_times_input": Call(ROWS, ASKED),
    "group_rates": Call(GROUPED | {"weights": SCORES}, GROUPS),
    "head_influence": Call(
        {
            "hidden": FEATURES,
            "logits": LOGITS,
            "labels": LABELS,
            "test_hidden": FEATURES,
            "test_logits": LOGITS,
            "test_labels": LABELS,
        }
    ),
    "input_noise_curve": Call(
        ROWS | {"sizes": np.array([0.0, 0.5])}, ASKED | {"key": KEY, "draws": 2}
    ),
    "integrated_gradients": Call(ROWS, ASKED | {"nodes": 2}),
    "kolmogorov_smirnov": Call({"first": FEATURES, "second": FEATURES + 1}),
    "label_confidences": Call(OF_LOGITS, allowed=("logits: another axis",)),
    "label_noise_curve": Call(
        ROWS | {"test_features": FEATURES, "test_labels": LABELS, "shares": np.array([0.0, 0.5])},
        {"make_model": linear, "classes": 2, "trainings": 1} | TRAINING,
    ),
    "layer_sizes": Call(ROWS, {"model": partial(linear, KEY)}),
    "leave_one_out_scores": Call({"confidences": SHADOWS, "members": SEEN}),
    "likelihood_ratio_scores": Call(
        {"confidences": SHADOWS[0], "shadow_confidences": SHADOWS, "shadow_members": SEEN}
    ),
    "longest_shared_span": Call({"test": TOKENS[2:], "train": TOKENS}, allowed=("empty",)),
    "loss_threshold_attack": Call({"member_losses": SCORES, "nonmember_losses": SCORES + 1}),
    "margin_score": Call({"logits": LOGITS}),
    "max_logit_score": Call({"logits": LOGITS}),
    "max_softmax_score": Call({"logits": LOGITS}),
    "measure_calibration": Call(OF_LOGITS, {"resamples": 9}),
    "membership_attack": Call({"scores": SCORES, "members": HITS}),
    "membership_scores": Call({"losses": FEATURES}, {"texts": [b"some text"] * 6}),
    "near_threshold": Call({"distances": SCORES}),
    "nearest_neighbours": Call(
        {"queries": FEATURES, "references": FEATURES + 0.25},
        **NEAR,
    ),
    "noise_matrix": Call({"counts": np.array([[3, 1], [2, 4]])}),
    "occlusion": Call(ROWS | {"patches": np.eye(2, dtype=bool)}, ASKED),
    "offline_scores": Call(
        {"confidences": SHADOWS[0], "shadow_confidences": SHADOWS, "shadow_members": SEEN}
    ),
    "out_of_fold_logits": Call(
        {"features": FEATURES, "labels": LABELS[None]},
        {"make_model": linear, "folds": 2} | TRAINING,
    ),
    "outcomes": Call(OF_LOGITS),
    "pgd": Call(ROWS, ASKED | {"epsilon": 0.5, "key": KEY, "steps": 1}),
    "pgd_l2": Call(ROWS, ASKED | {"epsilon": 0.5, "key": KEY, "steps": 1}),
    "random_signs": Call(ROWS, ASKED | {"epsilon": 0.5, "key": KEY}),
    "rank_agreement": Call({"a": FEATURES, "b": FEATURES[::-1]}),
    "reference_losses": Call({"labels": LABELS}, {"classes": 2}, **ALONE),
    "replacement_losses": Call(
        {"windows": TOKENS.reshape(2, 4), "choices": TOKENS}, {"model": gpt, "shares": [0.5]}
    ),
    "risk_coverage": Call({"confidence": SCORES, "correct": HITS}, {"resamples": 9}),
    "select": Call(
        {"confidence": SCORES, "correct": HITS},
        {"threshold": ConfidenceThreshold(0.5, accuracy=0.9, rows=100, rows_needed=29)},
    ),
    "set_coverage": Call({"sets": PROBS > 0.375, "labels": LABELS}),
    "share_test": Call({"counts": np.array([[3, 1], [2, 4]])}, {"resamples": 9}),
    "shared_windows": Call(
        {"test": TOKENS[2:], "train": TOKENS}, {"length": 2}, allowed=("train: empty",)
    ),
    "slant_groups": Call(ROWS, {"image_shape": (1, 2)}, **ANY_LABEL),
    "smooth_grad": Call(ROWS, ASKED | {"key": KEY, "samples": 2}),
    "stratified_folds": Call(
        {"labels": LABELS},
        {"folds": 2, "seed": 0},
        allowed=(*ALONE["allowed"], *ANY_LABEL["allowed"]),
    ),
    "stroke_groups": Call(ROWS, **ANY_LABEL),
    "tercile_groups": Call({"scores": SCORES, "labels": LABELS}, **ANY_LABEL),
    "text_losses": Call({"tokens": TOKENS}, {"model": gpt, "block": 4}),
    "text_pieces": Call(
        {"tokens": TOKENS + 65, "losses": np.tile(SCORES, 2)[:8]}, {"tokenizer": ByteTokenizer()}
    ),
    "trace_attention": Call({"tokens": TOKENS}, {"model": gpt}),
    "train_cohort": Call(
        ROWS | {"members": np.ones((2, 6), bool)}, {"make_model": linear} | TRAINING
    ),
    "train_learning_curve": Call(
        ROWS | {"held_out_features": FEATURES, "held_out_labels": LABELS},
        {"make_model": linear, "sizes": [6], "repeats": 2} | TRAINING,
    ),
    "train_private": Call(
        ROWS, {"make_model": linear, "noise_multiplier": 4.0, "delta": 1e-5} | TRAINING
    ),
    "train_shadows": Call(ROWS, {"make_model": linear, "models": 4} | TRAINING),
    "two_sample_classifier": Call(
        {"first": FEATURES, "second": FEATURES + 1}, {"folds": 2, "permutations": 1, "steps": 2}
    ),
}
NO_ARRAYS = {
    "audit", "audit_subject", "canary_exposure", "chance_of_coverage", "find_personal_data",
    "fit_token_temperature", "fit_verdict", "gradient_ratio", "loss_of_lines",
    "measure_token_calibration", "noise_needed",
    "picture", "print_summary", "privacy_spent", "read_json", "shared_lines", "split_size",
    "square_patches", "write_html", "write_json",
}  # fmt: skip


def called(name, **changed):
    entry = CALLS[name]
    function = entry.call or getattr(audit, name)
    # What has a state, such as a generator, is made anew for each call.
    fresh = {
        key: value() if key in ("model", "rng") else value for key, value in entry.more.items()
    }
    return function(**{**fresh, **entry.given, **changed})


def leaves(found):
    """All numbers, arrays and names of a result, whatever records it is made of."""
    if dataclasses.is_dataclass(found) and not isinstance(found, jnp.ndarray):
        return [leaf for f in dataclasses.fields(found) for leaf in leaves(getattr(found, f.name))]
    if isinstance(found, dict):
        return [leaf for value in found.values() for leaf in leaves(value)]
    if isinstance(found, tuple | list):
        return [leaf for value in found for leaf in leaves(value)]
    return [np.asarray(x) for x in jax.tree.leaves(found) if not _is_key(x)]


def _is_key(value):
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
