"""Claims about the compiled programs: products, buffers, traces, platforms."""

import re

import chex
import jax
import jax.export
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.fused import linear_cross_entropy, linear_kl_divergence, linear_log_probs

# A tile of scores (8·640) is far smaller than the head (16·640), and that than the logits.
N, D, V, TILE = 128, 16, 640, 8
HIDDEN, WEIGHT = jax.ShapeDtypeStruct((N, D), "float32"), jax.ShapeDtypeStruct((D, V), "float32")
LABELS = np.random.default_rng(0).integers(0, V, N)


def mean(hidden, weight):
    return linear_cross_entropy(hidden, weight, LABELS, label_smoothing=0.1, tile=TILE)


def none(hidden, weight):
    return jnp.sum(
        jnp.sin(linear_cross_entropy(hidden, weight, LABELS, reduction="none", tile=TILE))
    )


def one_tile(hidden, weight):
    losses = linear_cross_entropy(hidden, weight, LABELS, reduction="none", tile=N)
    return jnp.sum(jnp.sin(losses))


def log_probs(hidden, weight):
    found = linear_log_probs(hidden, weight, LABELS, tile=TILE)
    return jnp.sum(jnp.sin(found.log_prob) * found.entropy)


def divergence(hidden, weight):
    return linear_kl_divergence(hidden, weight, 2 * hidden[:, ::-1], weight**2, tile=TILE)


def distillation(hidden, weight):
    """The teacher is another, and constant."""
    return linear_kl_divergence(hidden, weight, jnp.ones((N, 2)), jnp.ones((2, V)), tile=TILE)


def compiled(function):
    return jax.jit(function).lower(HIDDEN, WEIGHT).compile().as_text()


def products(text):
    """Matrix products in a compiled program, loop bodies and fusions included.

    Told by their shapes too: a library call for a product is a custom call.
    """
    return len(re.findall(r"= \S+ (?:dot|custom-call)\(", text))


def jaxpr_products(jaxpr):
    """dot_general in a jaxpr and in every jaxpr inside."""
    count = 0
    for equation in jaxpr.eqns:
        count += equation.primitive.name == "dot_general"
        count += sum(
            jaxpr_products(inner) for inner in jax.extend.core.jaxprs_in_params(equation.params)
        )
    return count


# Products of the value alone; of value and gradient of hidden, of weight, of both.
PRODUCTS = {
    mean: (1, 2, 2, 3),
    none: (1, 3, 3, 4),
    one_tile: (1, 2, 2, 3),
    distillation: (2, 3, 3, 4),
}


@pytest.mark.parametrize("function", PRODUCTS, ids=lambda f: f.__name__)
def test_only_the_products_asked_for_are_in_the_program(function):
    wanted = [jax.value_and_grad(function, argnums=i) for i in (0, 1, (0, 1))]
    found = tuple(products(compiled(f)) for f in [function, *wanted])
    assert found == PRODUCTS[function]


def test_a_frozen_head_or_trunk_takes_a_product_out_before_any_compiler_sees_it():
    wanted = [jax.value_and_grad(mean, argnums=i) for i in (0, 1, (0, 1))]
    found = [jaxpr_products(jax.make_jaxpr(f)(HIDDEN, WEIGHT).jaxpr) for f in [mean, *wanted]]
    assert found == [1, 2, 2, 3]


def test_a_stopped_gradient_is_a_frozen_operand():
    frozen = jax.value_and_grad(lambda h, w: mean(h, jax.lax.stop_gradient(w)), argnums=(0, 1))
    assert products(compiled(frozen)) == 2


def along(function, hidden, weight):
    return jax.jvp(function, (hidden, weight), (hidden * 0.5, weight * 0.5))


def forward_over_reverse(function, hidden, weight):
    return along(jax.grad(function, argnums=(0, 1)), hidden, weight)


def reverse_over_reverse(function, hidden, weight):
    def slope_along(hidden, weight):
        slopes = jax.grad(function, argnums=(0, 1))(hidden, weight)
        return jnp.sum(slopes[0] * hidden) + jnp.sum(slopes[1] * weight)

    return jax.grad(slope_along, argnums=(0, 1))(hidden, weight)


DERIVATIVES = {
    "value": lambda f, *at: f(*at),
    "value_and_grad": lambda f, *at: jax.value_and_grad(f, argnums=(0, 1))(*at),
    "jvp": along,
    "hvp, forward over reverse": forward_over_reverse,
    "hvp, reverse over reverse": reverse_over_reverse,
    "checkpoint": lambda f, *at: jax.grad(jax.checkpoint(f), argnums=(0, 1))(*at),
}


PROGRAMS = [(mean, name) for name in DERIVATIVES]
PROGRAMS += [
    (f, n) for f in (none, log_probs) for n in ("value_and_grad", "hvp, reverse over reverse")
]
PROGRAMS += [
    (none, "jvp"),
    (log_probs, "hvp, forward over reverse"),
    (divergence, "value_and_grad"),
]


@pytest.mark.parametrize(("function", "name"), PROGRAMS)
def test_no_buffer_is_as_large_as_the_logits(function, name, report_figure):
    text = compiled(lambda *at: DERIVATIVES[name](function, *at))
    shapes = re.findall(r"\b(?:pred|[a-z]+\d+)\[([\d,]*)\]", text)
    largest = max(int(np.prod([int(n) for n in shape.split(",") if n])) for shape in shapes)
    report_figure(
        f"{function.__name__}, {name}: largest buffer {largest / (TILE * V):.1f} tiles, logits "
        f"{N / TILE:.0f}"
    )
    assert D * V <= largest < N * V  # the weight is there, or nothing was read


def test_a_step_is_traced_once_for_labels_of_any_value():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(hidden, weight, labels, where):
        def total(hidden, weight):
            return linear_cross_entropy(
                hidden, weight, labels, where=where, ignore_index=-100, tile=4
            )

        return jax.value_and_grad(total, argnums=(0, 1))(hidden, weight)

    rng = np.random.default_rng(1)
    for _ in range(3):
        hidden, weight = (rng.normal(size=s).astype(np.float32) for s in ((9, 5), (5, 37)))
        value, _ = step(hidden, weight, rng.integers(-1, 37, 9) * 1, rng.random(9) < 0.8)
    assert value.shape == ()


GRADIENTS = {"head frozen": 0, "trunk frozen": 1, "both": (0, 1)}


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_every_program_lowers_for_every_platform(platform):
    programs = {
        (function.__name__, name): jax.value_and_grad(function, argnums=argnums)
        for function in (mean, none, log_probs, distillation)
        for name, argnums in GRADIENTS.items()
    }
    programs["mean", "hvp"] = lambda *at: forward_over_reverse(mean, *at)
    programs["none", "hvp"] = lambda *at: reverse_over_reverse(none, *at)
    for name, program in programs.items():
        for dtype in ("float32", "bfloat16") if name[1] == "both" else ("float32",):
            operands = (jax.ShapeDtypeStruct(x.shape, dtype) for x in (HIDDEN, WEIGHT))
            exported = jax.export.export(jax.jit(program), platforms=[platform])(*operands)
            assert exported.platforms == (platform,), name
            assert "dot_general" in exported.mlir_module(), name
