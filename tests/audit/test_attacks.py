"""Attacks are the closed form on linear models, stay in their box, and many steps beat one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.audit.attack_curves import attack_curve, gradient_masking
from xentjax.audit.attacks import fgsm, pgd, pgd_l2, random_signs

RNG = np.random.default_rng(0)
W = RNG.normal(size=(8, 2)).astype(np.float32)
X = RNG.normal(size=(200, 8)).astype(np.float32)
Y = np.where(RNG.random(200) < 0.1, 1, 0) ^ (X @ W).argmax(axis=1)  # a tenth is wrong
W3 = RNG.normal(size=(8, 3)).astype(np.float32)
HIDDEN = RNG.normal(size=(8, 16)).astype(np.float32)
OUT = RNG.normal(size=(16, 3)).astype(np.float32)
KEY = jax.random.key(0)


def linear(x):
    return x @ W


def net(x):
    return jnp.tanh(x @ HIDDEN) @ OUT


NET_Y = np.asarray(net(X)).argmax(axis=1)
ATTACKS = {
    "fgsm": fgsm,
    "pgd": partial(pgd, key=KEY, steps=20),
    "pgd_l2": partial(pgd_l2, key=KEY, steps=60),
    "random": partial(random_signs, key=KEY, draws=4),
}


def right_within(norm_of_w, epsilon):
    """Two classes: right exactly while the lead exceeds ε times the dual norm of w_y − w_other."""
    lead = (X.astype(np.float64) @ (W[:, 0] - W[:, 1]).astype(np.float64)) * np.where(Y == 0, 1, -1)
    return lead > epsilon * norm_of_w


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("name", "order"), [("fgsm", 1), ("pgd", 1), ("pgd_l2", 2)])
def test_accuracy_of_a_linear_model_under_attack_is_the_closed_form(name, order, epsilon):
    size = np.linalg.norm((W[:, 0] - W[:, 1]).astype(np.float64), order)
    found = attack_curve(linear, X, Y, [epsilon], ATTACKS[name]).right[0]
    np.testing.assert_array_equal(found, right_within(size, epsilon))


def test_a_size_for_each_feature_is_the_closed_form_too():
    scale = np.linspace(0, 1, 8).astype(np.float32)
    size = (np.abs(W[:, 0] - W[:, 1]).astype(np.float64) * scale).sum()
    found = attack_curve(linear, X, Y, [0.0, 0.4], fgsm, scale=scale)
    np.testing.assert_array_equal(found.right[1], right_within(size, 0.4))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_stays_in_its_ball_and_in_the_range(name):
    epsilon, low, high = 0.5, -1.5, 1.2
    moved = ATTACKS[name](net, X, NET_Y, epsilon, low=low, high=high)
    away = moved - X
    length = np.linalg.norm(away, axis=1) if name == "pgd_l2" else np.abs(away).max(axis=1)
    assert length.max() <= epsilon + 1e-6
    # Rows that began outside the range may stay there, but go no further.
    assert (moved <= np.maximum(X, high) + 1e-6).all()
    assert (moved >= np.minimum(X, low) - 1e-6).all()
    assert np.abs(away).max() > 0.1


def test_many_steps_beat_one_and_one_beats_chance():
    sizes = [0.0, 0.05, 0.1, 0.2]
    found = {
        name: attack_curve(net, X, NET_Y, sizes, ATTACKS[name])
        for name in ("random", "fgsm", "pgd")
    }
    accuracy = {name: curve.accuracy for name, curve in found.items()}
    # Twenty steps may miss a row or two of 200 that one long step hits.
    assert (accuracy["pgd"] <= accuracy["fgsm"] + 0.01).all()
    assert accuracy["pgd"][-1] < accuracy["fgsm"][-1] - 0.05
    # Paired over 200 rows; noise breaks fewer rows at every ε, by far at the largest.
    assert accuracy["fgsm"][-1] < accuracy["random"][-1] - 0.2
    signs = gradient_masking(
        net, X, NET_Y, one_step=found["fgsm"], many_steps=found["pgd"], null=found["random"]
    )
    assert signs.one_step_lead[1] <= 0
    assert signs.null_lead[2] < 0
    assert signs.flat[0] == 0


@pytest.mark.parametrize("name", list(ATTACKS))
def test_a_scale_that_is_one_number_multiplies_epsilon(name):
    twice = attack_curve(net, X, NET_Y, [0.1], ATTACKS[name], scale=2.0)
    np.testing.assert_array_equal(
        twice.right, attack_curve(net, X, NET_Y, [0.2], ATTACKS[name]).right
    )


@pytest.mark.parametrize("name", list(ATTACKS))
def test_a_model_that_gives_nan_does_not_pass_for_robust(name):
    with pytest.raises(ValueError, match="must be finite"):
        ATTACKS[name](lambda x: jnp.where(x > 3, jnp.nan, x) @ W, X, Y, 0.5)


def test_accuracy_falls_to_nothing_for_a_change_without_bounds():
    found = attack_curve(net, X, NET_Y, [0.0, 4.0], partial(pgd, key=KEY, steps=40))
    assert found.accuracy[0] == 1
    assert found.accuracy[1] < 0.02
    share, low, high = found.flipped(1)
    assert low <= share <= high
    assert share > 0.98


def test_a_model_that_is_very_sure_is_no_safer():
    """Its cross-entropy is 0 in float32 with a gradient of 0; the log odds still have one."""

    def sure(x):
        return 300 * net(x)

    loss = jax.grad(lambda x: -jax.nn.log_softmax(sure(x))[jnp.arange(200), NET_Y].sum())(X)
    assert (np.asarray(loss) == 0).all(axis=1).mean() > 0.5
    attack = partial(pgd, key=KEY, steps=20)
    plain = attack_curve(net, X, NET_Y, [0.1], attack).accuracy
    # Slopes of different temperature differ for three classes, by a little.
    np.testing.assert_allclose(
        attack_curve(sure, X, NET_Y, [0.1], attack).accuracy, plain, atol=0.05
    )


def test_masked_gradients_are_suspected_and_honest_ones_are_not():
    def rounded(x):
        return linear(jnp.round(x * 4) / 4)

    # The range itself, ±4, leaves nothing of an honest model.
    sizes = [0.0, 0.3, 1.0, 4.0]

    def signs(predict):
        y = np.asarray(predict(X)).argmax(axis=1)
        one, many, null = (
            attack_curve(predict, X, y, sizes, ATTACKS[name]) for name in ("fgsm", "pgd", "random")
        )
        return gradient_masking(predict, X, y, one_step=one, many_steps=many, null=null)

    masked, honest = signs(rounded), signs(linear)
    assert masked.suspected
    assert masked.flat[0] == 1
    assert masked.null_lead[1] > 0
    assert not honest.suspected


def test_a_wrong_row_stays_wrong_under_pgd():
    wrong = np.asarray(linear(X)).argmax(axis=1) != Y
    assert wrong.any()
    found = attack_curve(linear, X, Y, [0.0, 0.05, 2.0], ATTACKS["pgd"])
    assert not found.right[:, wrong].any()


def test_intervals_are_wilsons():
    found = attack_curve(linear, X, Y, [0.0], fgsm)
    k, z2 = found.right.sum(), 1.959964**2
    root = np.sqrt(z2 * (k * (200 - k) / 200 + z2 / 4))
    np.testing.assert_allclose(found.low[0], (k + z2 / 2 - root) / (200 + z2), rtol=1e-5)
    np.testing.assert_allclose(found.high[0], (k + z2 / 2 + root) / (200 + z2), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fgsm(linear, X, Y, -0.1), "epsilon must be non-negative"),
        (lambda: fgsm(linear, X, Y, 0.1, low=1.0, high=0.0), "low must be at most high"),
        (lambda: pgd(linear, X, Y, 0.1, key=KEY, steps=0), "steps must be at least 1"),
        (lambda: pgd_l2(linear, X, Y, np.ones(8), key=KEY), "epsilon must be a number or one a"),
        (lambda: random_signs(linear, X, Y, 0.1, key=KEY, draws=0), "draws must be at least 1"),
        (lambda: attack_curve(linear, X, Y, [0.2, 0.1], fgsm), "epsilons must rise"),
        (lambda: fgsm(linear, X, Y + 2, 0.1), r"labels must lie in \[0, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
