"""The names a user may rely on: pinned, sorted, documented, and free to import."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import xentjax
from bench.cases import CASES

NAMES = [
    "arcface_loss",
    "asymmetric_loss",
    "bi_tempered_loss",
    "bits",
    "bits_per_byte",
    "bootstrapped_cross_entropy",
    "class_balanced_weights",
    "clip_loss",
    "confidence_penalty",
    "coral_loss",
    "corn_loss",
    "cosface_loss",
    "ctc_loss",
    "cutmix",
    "dice_loss",
    "distillation_loss",
    "dpo_loss",
    "entmax",
    "entmax_loss",
    "entropy",
    "focal_loss",
    "forward_corrected_cross_entropy",
    "generalized_cross_entropy",
    "group_advantages",
    "grpo_loss",
    "huber_loss",
    "info_nce",
    "jensen_shannon_consistency",
    "js_divergence",
    "kl_divergence",
    "kl_divergence_with_logits",
    "kto_loss",
    "ldam_loss",
    "linear_cross_entropy",
    "linear_kl_divergence",
    "linear_log_probs",
    "listwise_softmax_loss",
    "log_uniform_sample",
    "logit_adjusted_cross_entropy",
    "mixup",
    "multiclass_hinge_loss",
    "next_token_labels",
    "orpo_loss",
    "perplexity",
    "plan",
    "poly_loss",
    "r_drop",
    "reduce",
    "sampled_softmax_cross_entropy",
    "segment_mask",
    "segment_positions",
    "sequence_log_prob",
    "sharded_linear_cross_entropy",
    "siglip_loss",
    "sigmoid_cross_entropy",
    "sigmoid_focal_loss",
    "simpo_loss",
    "smooth_labels",
    "soft_cap",
    "soft_ordinal_targets",
    "softmax_cross_entropy",
    "sparsemax",
    "sparsemax_loss",
    "squared_error",
    "supervised_contrastive",
    "symmetric_cross_entropy",
    "total_and_weight",
    "tversky_loss",
]
ROOMS = [
    *("audit", "cli", "data", "fused", "jobs", "losses", "metrics", "models", "optim", "plots"),
    *("search", "testing", "timing", "train"),
]
TAIL = ["where", "weights", "reduction"]
LOSSES = sorted({getattr(case.loss, "func", case.loss).__name__ for case in CASES.values()})


def test_public_names_are_these():
    assert xentjax.__all__ == ["__version__", *NAMES, *ROOMS]
    assert sorted(NAMES) == NAMES
    assert dir(xentjax) == sorted(xentjax.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_function_is_documented_by_formula_example_and_units(name):
    function = getattr(xentjax, name)
    doc = inspect.getdoc(function)
    for section in ("Args:", "Returns:", "Example:", ">>>"):
        assert section in doc, section
    assert function.__module__.startswith(("xentjax.losses", "xentjax.fused"))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_shares_the_tail(name):
    parameters = inspect.signature(getattr(xentjax, name)).parameters
    for option in TAIL:
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
    assert [parameters[o].default for o in TAIL] == [None, None, "none"]


@pytest.mark.parametrize(
    "name", ["linear_cross_entropy", "linear_kl_divergence", "sharded_linear_cross_entropy"]
)
def test_fused_losses_share_it_but_return_a_mean(name):
    parameters = inspect.signature(getattr(xentjax, name)).parameters
    assert [parameters[o].default for o in TAIL] == [None, None, "mean"]


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_reached_as_an_attribute_and_lists_its_names(room):
    module = getattr(xentjax, room)
    assert module.__doc__
    assert module.__all__
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, f"{room}.{name} has no docstring"


@pytest.mark.parametrize("room", ["audit", "jobs", "search", "train"])
def test_no_module_of_a_lazy_room_hides_a_name_that_it_exports(room):
    # Importing a module binds its name in the package, over a function of that name.
    package = Path(xentjax.__file__).parent / room
    modules = {path.stem for path in package.glob("*.py")}
    assert not modules & set(getattr(xentjax, room).__all__)


def test_losses_hold_the_same_names():
    assert xentjax.losses.__all__ == [n for n in NAMES if n not in xentjax.fused.__all__]


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'softmax_cross_entropy'"):
        xentjax.softmax_crossentropy  # noqa: B018


def test_importing_the_package_loads_neither_jax_nor_its_own_rooms():
    code = (
        "import sys, xentjax; "
        "print([m for m in sys.modules if m.split('.')[0] in ('jax', 'flax', 'optax', 'rich')"
        " or m.startswith('xentjax.')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.strip() == "[]"


def test_using_a_loss_loads_no_model_optimizer_or_display_library():
    code = (
        "import sys; from xentjax import softmax_cross_entropy; "
        "print([m for m in ('flax', 'optax', 'rich', 'grain', 'tyro', 'orbax', 'matplotlib',"
        " 'sklearn', 'chex') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.strip() == "[]"
