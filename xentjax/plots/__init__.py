"""Pictures of runs, schedules, searches and audits: plain records, drawn by matplotlib (`plot`)."""

from xentjax.plots.attention import draw_attention
from xentjax.plots.attribution import draw_deletion_curve, draw_explained_images, draw_feature_bars
from xentjax.plots.class_counts import draw_class_counts
from xentjax.plots.conformal import draw_prediction_sets
from xentjax.plots.curves import Curves, draw_curves
from xentjax.plots.exposure import draw_exposure
from xentjax.plots.extraction import draw_extraction
from xentjax.plots.finder import draw_rate_curve
from xentjax.plots.gaps import draw_gaps
from xentjax.plots.groups import draw_groups
from xentjax.plots.layers import draw_layers
from xentjax.plots.learning_curve import draw_learning_curve
from xentjax.plots.membership import draw_membership_roc, draw_membership_scores
from xentjax.plots.neighbours import draw_neighbours
from xentjax.plots.reliability import draw_reliability
from xentjax.plots.replacement import draw_replacement
from xentjax.plots.robustness import AccuracyCurve, draw_accuracy_curves
from xentjax.plots.schedules import draw_schedules
from xentjax.plots.selective import draw_risk_coverage
from xentjax.plots.shift import draw_shift
from xentjax.plots.suspects import draw_suspects
from xentjax.plots.sweep import draw_heat_map, draw_parallel_coordinates

__all__ = [
    "AccuracyCurve",
    "Curves",
    "draw_accuracy_curves",
    "draw_attention",
    "draw_class_counts",
    "draw_curves",
    "draw_deletion_curve",
    "draw_explained_images",
    "draw_exposure",
    "draw_extraction",
    "draw_feature_bars",
    "draw_gaps",
    "draw_groups",
    "draw_heat_map",
    "draw_layers",
    "draw_learning_curve",
    "draw_membership_roc",
    "draw_membership_scores",
    "draw_neighbours",
    "draw_parallel_coordinates",
    "draw_prediction_sets",
    "draw_rate_curve",
    "draw_reliability",
    "draw_replacement",
    "draw_risk_coverage",
    "draw_schedules",
    "draw_shift",
    "draw_suspects",
]
