"""The closed slopes of the divergences: 50-digit arithmetic for their digits, the plain formula in
float64, differentiated by JAX, for every further order."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import xentjax
from xentjax.losses.divergence_terms import js_of_logits, symmetric_kl_of_logits

EPS = float(np.finfo(np.float32).eps)


def true_slopes(first, second):
    """Of KL(q ‖ p), of KL(p ‖ q) + KL(q ‖ p) and of JS, for both logits, to 50 digits."""
    with mpmath.workdps(50):

        def log_softmax(x):
            x = [mpmath.mpf(float(v)) for v in x]
            lse = mpmath.log(mpmath.fsum(mpmath.exp(v) for v in x))
            return np.array([v - lse for v in x])

        def towards(logs, gaps):  # of Σ p (log p − constant)
            shares = np.array([mpmath.exp(v) for v in logs])
            return shares * (gaps - mpmath.fsum(shares * gaps))

        log_p, log_q = log_softmax(first), log_softmax(second)
        p, q = (np.array([mpmath.exp(v) for v in x]) for x in (log_p, log_q))
        log_m = np.array([mpmath.log((a + b) / 2) for a, b in zip(p, q, strict=True)])
        kl = (p - q, towards(log_q, log_q - log_p))
        back = (towards(log_p, log_p - log_q), q - p)
        js = (towards(log_p, log_p - log_m) / 2, towards(log_q, log_q - log_m) / 2)
        both = tuple(a + b for a, b in zip(kl, back, strict=True))
        return [np.array(x, np.float64) for pair in (kl, both, js) for x in pair]


@pytest.mark.parametrize("classes", [7, 600])  # from 512 on rows are split into blocks
@pytest.mark.parametrize("distance", [1e-4, 1e-2, 0.3, 2.0])
def test_slopes_keep_their_digits_when_both_sides_nearly_agree(classes, distance):
    rng = np.random.default_rng(0)
    first = rng.normal(size=(3, classes)).astype(np.float32)
    second = (first + distance * rng.normal(size=first.shape)).astype(np.float32)
    losses = (
        lambda p, q: xentjax.kl_divergence_with_logits(p, q),
        lambda p, q: symmetric_kl_of_logits(p, q, -1),
        lambda p, q: js_of_logits(p, q, -1),
    )
    got = [
        slope
        for loss in losses
        for slope in jax.grad(lambda x, f=loss: jnp.sum(f(*x)))(
            (jnp.array(first), jnp.array(second))
        )
    ]
    for row, pair in enumerate(zip(first, second, strict=True)):
        for slope, wanted in zip(got, true_slopes(*pair), strict=True):
            # e^(log p) with |log p| up to 11 is right to 11 eps; a few sums and products more.
            bound = 16 * EPS * np.abs(wanted).max()
            np.testing.assert_allclose(slope[row], wanted, rtol=0, atol=bound)


def views(first, second):
    return xentjax.jensen_shannon_consistency(jnp.stack([first, second, -first], axis=-2))


def plain_kl(q, p):
    return jnp.sum(jax.nn.softmax(q) * (jax.nn.log_softmax(q) - jax.nn.log_softmax(p)), -1)


def plain_targets(logits, targets):
    log_p = jax.nn.log_softmax(logits)
    return jnp.sum(targets * (jnp.log(targets) - log_p) - targets + jnp.exp(log_p), -1)


def plain_views(*logits):
    shares = [jax.nn.softmax(x) for x in logits]
    log_mean = jnp.log(sum(shares) / len(shares))
    return sum(jnp.sum(p * (jnp.log(p) - log_mean), -1) for p in shares) / len(shares)


PAIRS = {
    "KL": (xentjax.kl_divergence, plain_targets),
    "KL with logits": (
        lambda p, q: xentjax.kl_divergence_with_logits(p, q),
        lambda p, q: plain_kl(q, p),
    ),
    "both ways": (
        lambda p, q: symmetric_kl_of_logits(p, q, -1),
        lambda p, q: plain_kl(q, p) + plain_kl(p, q),
    ),
    "JS": (xentjax.js_divergence, plain_views),
    "JS of three": (views, lambda p, q: plain_views(p, q, -p)),
}


def orders(loss, arrays, direction):
    """Gradient, Hessian product and third derivative along a line; the product in a scan too."""

    def total(arrays):
        return jnp.sum(jnp.sin(loss(*arrays)))

    def scanned(arrays):
        step = lambda carry, row: (carry + jnp.sin(loss(*row)), None)  # noqa: E731
        return jax.lax.scan(step, jnp.zeros((), arrays[0].dtype), arrays)[0]

    def along(f):
        return lambda x: jax.jvp(f, (x,), (direction,))[1]

    gradient, in_scan = jax.grad(total), jax.grad(scanned)
    return {
        "gradient": gradient(arrays),
        "second": along(gradient)(arrays),
        "second in a scan": along(in_scan)(arrays),
        "reverse over reverse": jax.grad(
            lambda x: sum(jnp.vdot(g, v) for g, v in zip(gradient(x), direction, strict=True))
        )(arrays),
        "third": along(along(gradient))(arrays),
    }


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", [x if x.startswith("KL") else pytest.param(x, marks=pytest.mark.slow) for x in PAIRS]
)
def test_every_order_is_that_of_the_plain_formula(name):
    rng = np.random.default_rng(0)
    first = jnp.asarray(rng.normal(size=(3, 5)))
    distance = np.array([[0.0], [0.1], [3.0]])  # equal, by the exact difference, by the plain one
    second = first + distance * rng.normal(size=first.shape)
    if name == "KL":
        second = jax.nn.softmax(second)
    direction = tuple(jnp.asarray(rng.normal(size=first.shape)) for _ in range(2))
    ours, plain = PAIRS[name]
    found = jax.jit(lambda x: [orders(f, x, direction) for f in (ours, plain)])((first, second))
    for order, wanted in found[1].items():
        if order == "second in a scan":
            wanted = found[1]["second"]
        for got, side in zip(found[0][order], wanted, strict=True):
            # The plain formula loses some tens of roundings of its terms, which are below 10.
            np.testing.assert_allclose(got, side, rtol=1e-12, atol=2e-13, err_msg=order)


@pytest.mark.parametrize("name", ["KL with logits", "both ways", "JS", "JS of three"])
def test_masked_classes_have_no_slope_of_any_order(name):
    rng = np.random.default_rng(1)
    first, second, *direction = (jnp.asarray(rng.normal(size=(2, 4)), jnp.float32) for _ in "abcd")
    masked = tuple(x.at[:, 3].set(-jnp.inf) for x in (first, second))
    if name == "JS of three":  # its third view is −first, where the mask would be +inf
        ours = lambda p, q: xentjax.jensen_shannon_consistency(jnp.stack([p, q], -2))  # noqa: E731
    else:
        ours = PAIRS[name][0]

    def product(arrays, along):
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(ours(*x))))
        return gradient(arrays), jax.jvp(gradient, (arrays,), (along,))[1]

    product = jax.jit(product)
    got = product(masked, tuple(direction))
    wanted = product((first[:, :3], second[:, :3]), tuple(x[:, :3] for x in direction))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(a[:, 3], 0)
        np.testing.assert_allclose(a[:, :3], b, rtol=0, atol=16 * EPS)


def test_an_infinite_divergence_has_slopes_that_are_numbers():
    model, target = jnp.array([[0.0, 1.0, -jnp.inf]]), jnp.array([[1.0, 0.0, 0.5]])
    for loss in (PAIRS["KL with logits"][0], PAIRS["both ways"][0]):
        assert loss(model, target) == np.inf
        for slope in jax.grad(lambda p, q, f=loss: jnp.sum(f(p, q)), argnums=(0, 1))(model, target):
            assert np.isfinite(slope).all()


@pytest.mark.parametrize("offset", [1e7, 1e8, -1e30, 1e30])
@pytest.mark.parametrize("name", ["kl_divergence_with_logits", "js_divergence"])
def test_logits_far_larger_than_their_gaps_are_told_apart(name, offset):
    # Rounded, target − model is the same for every class.
    loss, target = jax.jit(jax.value_and_grad(getattr(xentjax, name))), jnp.array([1.0, 2.0, 3.0])
    at_zero = loss(jnp.zeros(3), target)
    p, q = np.full(3, 1 / 3), np.exp([1.0, 2.0, 3.0]) / np.exp([1.0, 2.0, 3.0]).sum()
    m = (p + q) / 2
    wanted = (q * np.log(q / p)).sum()
    if name == "js_divergence":
        wanted = (p * np.log(p / m) + q * np.log(q / m)).sum() / 2
    np.testing.assert_allclose(at_zero[0], wanted, rtol=4 * EPS)
    jax.tree.map(np.testing.assert_array_equal, loss(jnp.full(3, offset), target), at_zero)


@pytest.mark.parametrize(
    ("logits", "wanted"),
    [
        ([np.inf, 0, 0], 0.0),
        ([np.inf, np.inf, 0], np.log(2)),  # each counts as the largest finite number
        ([3e38, -3e38, 0], 0.0),
        ([3e38, -3e38, 3e38], np.log(2)),
    ],
)
def test_entropy_of_rows_whose_gaps_overflow(logits, wanted):
    value, slopes = jax.value_and_grad(xentjax.entropy)(jnp.array(logits, jnp.float32))
    np.testing.assert_allclose(value, wanted, rtol=2 * EPS)
    np.testing.assert_array_equal(slopes, 0)
