"""The audit of hidden dangers: a low cross-entropy is measured for what it may hide.

One danger a file. The functions take arrays and return plain records with intervals. The
`…_section` functions put them together for one trained model, `audit` does so for a run's
directory, and `write_html`, `write_json` and `print_summary` tell it. Names load on first use.
"""

# Names for type checkers below are loaded on use at run time.
# ruff: noqa: F401

from typing import TYPE_CHECKING

import xentjax

# Each public name and the module that holds it: the one list a new name is added to.
_HOME = {
    "Classifier": "classifier",
    "Cohort": "cohort",
    "ColouredText": "section",
    "Estimate": "estimate",
    "FitThresholds": "fit_state",
    "Grid": "section",
    "LanguageModel": "language_model",
    "Measure": "section",
    "Picture": "section",
    "Report": "report",
    "Rows": "classifier",
    "Section": "section",
    "attack_curve": "attack_curves",
    "attention_rollout": "attention",
    "attribution_section": "sections.attribution",
    "audit": "auditing",
    "audit_subject": "auditing",
    "brier_decomposition": "brier",
    "calibration_section": "sections.calibration",
    "canary_exposure": "canaries",
    "chance_of_coverage": "coverage",
    "choose_threshold": "selective",
    "class_balance": "imbalance",
    "confident_joint": "label_errors",
    "conformal_quantile": "conformal",
    "data_quality_section": "sections.data_quality",
    "deletion_curve": "faithfulness",
    "detect": "out_of_distribution",
    "energy_score": "out_of_distribution",
    "exact_groups": "duplicates",
    "exposure_of_losses": "canaries",
    "extract_verbatim": "extraction",
    "fairness_gaps": "fairness",
    "fairness_section": "sections.fairness",
    "fgsm": "attacks",
    "find_label_errors": "label_errors",
    "find_leaks": "duplicates",
    "find_personal_data": "personal_data",
    "fit_aps": "conformal",
    "fit_classwise_aps": "conformal",
    "fit_power_law": "power_law",
    "fit_raps": "conformal",
    "fit_temperature": "scaling",
    "fit_token_temperature": "token_calibration",
    "fit_vector_scaling": "scaling",
    "fit_verdict": "fit_state",
    "flipped_labels": "corruption",
    "generalization": "overfitting",
    "gradient_influence": "influence",
    "gradient_masking": "attack_curves",
    "gradient_ratio": "activations",
    "gradient_saliency": "saliency",
    "gradient_times_input": "saliency",
    "group_rates": "groups",
    "head_influence": "influence",
    "input_noise_curve": "corruption",
    "integrated_gradients": "saliency",
    "kolmogorov_smirnov": "shift",
    "label_confidences": "likelihood_ratio",
    "label_noise_curve": "corruption",
    "language_attribution_section": "sections.token_attribution",
    "language_calibration_section": "sections.language_calibration",
    "language_data_section": "sections.data_quality",
    "language_fairness_section": "sections.language_fairness",
    "language_overfitting_section": "sections.overfitting",
    "language_robustness_section": "sections.language_robustness",
    "layer_sizes": "activations",
    "leave_one_out_scores": "likelihood_ratio",
    "likelihood_ratio_scores": "likelihood_ratio",
    "longest_shared_span": "text_overlap",
    "loss_of_lines": "lines",
    "loss_threshold_attack": "membership",
    "margin_score": "out_of_distribution",
    "max_logit_score": "out_of_distribution",
    "max_softmax_score": "out_of_distribution",
    "measure_calibration": "calibration",
    "measure_token_calibration": "token_calibration",
    "membership_attack": "membership",
    "membership_scores": "text_membership",
    "memorization_section": "sections.memorization",
    "near_threshold": "duplicates",
    "nearest_neighbours": "duplicates",
    "noise_matrix": "label_errors",
    "noise_needed": "privacy_budget",
    "occlusion": "covering",
    "offline_scores": "likelihood_ratio",
    "out_of_fold_logits": "cross_validation",
    "outcomes": "overfitting",
    "overfitting_section": "sections.overfitting",
    "pgd": "attacks",
    "pgd_l2": "attacks",
    "picture": "section",
    "print_summary": "terminal",
    "privacy_section": "sections.privacy",
    "privacy_spent": "privacy_budget",
    "random_signs": "attacks",
    "rank_agreement": "faithfulness",
    "read_json": "report_json",
    "reference_losses": "overfitting",
    "replacement_losses": "replacement",
    "risk_coverage": "selective",
    "robustness_section": "sections.robustness",
    "select": "selective",
    "set_coverage": "coverage",
    "share_test": "imbalance",
    "shared_lines": "text_overlap",
    "shared_windows": "text_overlap",
    "slant_groups": "grouping",
    "smooth_grad": "saliency",
    "split_size": "overfitting",
    "square_patches": "covering",
    "stratified_folds": "cross_validation",
    "stroke_groups": "grouping",
    "tercile_groups": "grouping",
    "text_losses": "token_losses",
    "text_pieces": "token_losses",
    "trace_attention": "attention",
    "train_cohort": "cohort",
    "train_learning_curve": "learning_curve",
    "train_private": "private_training",
    "train_shadows": "shadows",
    "two_sample_classifier": "shift",
    "write_html": "page",
    "write_json": "report_json",
}

__all__ = [*_HOME]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from xentjax.audit.activations import gradient_ratio, layer_sizes
    from xentjax.audit.attack_curves import attack_curve, gradient_masking
    from xentjax.audit.attacks import fgsm, pgd, pgd_l2, random_signs
    from xentjax.audit.attention import attention_rollout, trace_attention
    from xentjax.audit.auditing import audit, audit_subject
    from xentjax.audit.brier import brier_decomposition
    from xentjax.audit.calibration import measure_calibration
    from xentjax.audit.canaries import canary_exposure, exposure_of_losses
    from xentjax.audit.classifier import Classifier, Rows
    from xentjax.audit.cohort import Cohort, train_cohort
    from xentjax.audit.conformal import conformal_quantile, fit_aps, fit_classwise_aps, fit_raps
    from xentjax.audit.corruption import flipped_labels, input_noise_curve, label_noise_curve
    from xentjax.audit.coverage import chance_of_coverage, set_coverage
    from xentjax.audit.covering import occlusion, square_patches
    from xentjax.audit.cross_validation import out_of_fold_logits, stratified_folds
    from xentjax.audit.duplicates import (
        exact_groups,
        find_leaks,
        near_threshold,
        nearest_neighbours,
    )
    from xentjax.audit.estimate import Estimate
    from xentjax.audit.extraction import extract_verbatim
    from xentjax.audit.fairness import fairness_gaps
    from xentjax.audit.faithfulness import deletion_curve, rank_agreement
    from xentjax.audit.fit_state import FitThresholds, fit_verdict
    from xentjax.audit.grouping import slant_groups, stroke_groups, tercile_groups
    from xentjax.audit.groups import group_rates
    from xentjax.audit.imbalance import class_balance, share_test
    from xentjax.audit.influence import gradient_influence, head_influence
    from xentjax.audit.label_errors import confident_joint, find_label_errors, noise_matrix
    from xentjax.audit.language_model import LanguageModel
    from xentjax.audit.learning_curve import train_learning_curve
    from xentjax.audit.likelihood_ratio import (
        label_confidences,
        leave_one_out_scores,
        likelihood_ratio_scores,
        offline_scores,
    )
    from xentjax.audit.lines import loss_of_lines
    from xentjax.audit.membership import loss_threshold_attack, membership_attack
    from xentjax.audit.out_of_distribution import (
        detect,
        energy_score,
        margin_score,
        max_logit_score,
        max_softmax_score,
    )
    from xentjax.audit.overfitting import generalization, outcomes, reference_losses, split_size
    from xentjax.audit.page import write_html
    from xentjax.audit.personal_data import find_personal_data
    from xentjax.audit.power_law import fit_power_law
    from xentjax.audit.privacy_budget import noise_needed, privacy_spent
    from xentjax.audit.private_training import train_private
    from xentjax.audit.replacement import replacement_losses
    from xentjax.audit.report import Report
    from xentjax.audit.report_json import read_json, write_json
    from xentjax.audit.saliency import (
        gradient_saliency,
        gradient_times_input,
        integrated_gradients,
        smooth_grad,
    )
    from xentjax.audit.scaling import fit_temperature, fit_vector_scaling
    from xentjax.audit.section import ColouredText, Grid, Measure, Picture, Section, picture
    from xentjax.audit.sections.attribution import attribution_section
    from xentjax.audit.sections.calibration import calibration_section
    from xentjax.audit.sections.data_quality import data_quality_section, language_data_section
    from xentjax.audit.sections.fairness import fairness_section
    from xentjax.audit.sections.language_calibration import language_calibration_section
    from xentjax.audit.sections.language_fairness import language_fairness_section
    from xentjax.audit.sections.language_robustness import language_robustness_section
    from xentjax.audit.sections.memorization import memorization_section
    from xentjax.audit.sections.overfitting import language_overfitting_section, overfitting_section
    from xentjax.audit.sections.privacy import privacy_section
    from xentjax.audit.sections.robustness import robustness_section
    from xentjax.audit.sections.token_attribution import language_attribution_section
    from xentjax.audit.selective import choose_threshold, risk_coverage, select
    from xentjax.audit.shadows import train_shadows
    from xentjax.audit.shift import kolmogorov_smirnov, two_sample_classifier
    from xentjax.audit.terminal import print_summary
    from xentjax.audit.text_membership import membership_scores
    from xentjax.audit.text_overlap import longest_shared_span, shared_lines, shared_windows
    from xentjax.audit.token_calibration import fit_token_temperature, measure_token_calibration
    from xentjax.audit.token_losses import text_losses, text_pieces


__getattr__ = xentjax._loader(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
