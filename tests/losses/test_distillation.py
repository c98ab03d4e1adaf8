"""distillation_loss against its two parts and the formula in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import xentjax

RNG = np.random.default_rng(0)
STUDENT = jnp.asarray(RNG.normal(size=(6, 5)) * 2, jnp.float32)
TEACHER = jnp.asarray(RNG.normal(size=(6, 5)) * 2, jnp.float32)
LABELS = jnp.array([0, 1, 2, 3, 4, 2])


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equals_the_formula_in_float64(temperature, alpha):
    student, teacher = np.float64(STUDENT), np.float64(TEACHER)
    log_s = scipy.special.log_softmax(student / temperature, -1)
    log_t = scipy.special.log_softmax(teacher / temperature, -1)
    soft = (np.exp(log_t) * (log_t - log_s)).sum(-1)
    hard = -scipy.special.log_softmax(student, -1)[np.arange(6), LABELS]
    wanted = alpha * temperature**2 * soft + (1 - alpha) * hard
    got = xentjax.distillation_loss(STUDENT, TEACHER, LABELS, temperature=temperature, alpha=alpha)
    np.testing.assert_allclose(got, wanted, rtol=2e-6)


def test_a_student_equal_to_its_teacher_feels_only_the_labels():
    slope = jax.grad(
        lambda x: xentjax.distillation_loss(
            x, TEACHER, LABELS, temperature=2.0, alpha=0.4, reduction="mean"
        )
    )(TEACHER)
    wanted = 0.6 * jax.grad(lambda x: xentjax.softmax_cross_entropy(x, LABELS, reduction="mean"))(
        TEACHER
    )
    np.testing.assert_allclose(slope, wanted, atol=1e-6)


def test_temperature_and_alpha_may_be_traced():
    def loss(temperature, alpha):
        return xentjax.distillation_loss(
            STUDENT, TEACHER, LABELS, temperature=temperature, alpha=alpha, reduction="mean"
        )

    np.testing.assert_allclose(jax.jit(loss)(2.0, 0.5), loss(2.0, 0.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0, "alpha": 0.5}, "temperature must be positive"),
        ({"temperature": 1.0, "alpha": 1.5}, r"alpha must lie in \[0, 1\], got 1.5"),
    ],
)
def test_misuse_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        xentjax.distillation_loss(STUDENT, TEACHER, LABELS, **options)
