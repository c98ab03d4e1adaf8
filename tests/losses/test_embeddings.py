"""What the contrastive losses share: sets under a mask, on several devices, and at the ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from xentjax.losses.contrastive import clip_loss, info_nce
from xentjax.losses.embeddings import unit
from xentjax.losses.pairwise_sigmoid import siglip_loss
from xentjax.losses.positives import supervised_contrastive
from xentjax.testing import assert_loss_contract

P = PartitionSpec
N, D = 16, 5
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(N, D)), jnp.float32)
Y = jnp.asarray(RNG.normal(size=(N, D)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, 5, N), jnp.int32)
WEIGHTS = jnp.asarray(RNG.random(N), jnp.float32)
KEEP = jnp.asarray(RNG.random(N) > 0.3)
NEGATIVES = jnp.asarray(RNG.normal(size=(8, D)), jnp.float32)


def with_temperature(loss, x, y, labels, temperature, **options):
    """One signature for all, in which everything that is a number can be differentiated."""
    if loss is supervised_contrastive:
        # Both inputs matter, and no row is another's copy.
        return loss(x + 2 * y, labels, temperature=temperature, **options)
    if loss is info_nce:
        return loss(x, y, temperature=temperature, **options)
    if loss is siglip_loss:
        options["bias"] = -temperature
    return loss(x, y, logit_scale=1 / temperature, **options)


LOSSES = {
    "InfoNCE": partial(with_temperature, info_nce),
    "CLIP": partial(with_temperature, clip_loss),
    "SigLIP": partial(with_temperature, siglip_loss),
    "SigLIP in chunks": partial(with_temperature, siglip_loss, chunk=3),
    "supervised": partial(with_temperature, supervised_contrastive),
}
ALL = pytest.mark.parametrize("name", LOSSES)


def mostly_slow(*quick):
    """Each loss, but only these in every run: the others are made of the same pieces."""
    marks = {name: [] if name in quick else [pytest.mark.slow] for name in LOSSES}
    return pytest.mark.parametrize("name", [pytest.param(n, marks=m) for n, m in marks.items()])


# One order of summing N · D products at temperature 0.3 against another, relative to the largest.
CLOSE = 8 * np.sqrt(N * D) * 2**-24 / 0.3


def close(got, wanted):
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        scale = max(1.0, float(np.max(np.abs(w), initial=0)))
        np.testing.assert_allclose(g, w, rtol=0, atol=CLOSE * scale)


# --- a mask -----------------------------------------------------------------------------------


@mostly_slow("CLIP", "SigLIP in chunks")
def test_a_masked_example_is_as_if_sliced_away_whatever_it_holds(name):
    loss, cotangent = LOSSES[name], jnp.sin(jnp.arange(N))
    keep = np.asarray(KEEP)

    def whole(x, y, temperature):
        losses = loss(x, y, LABELS, temperature, where=KEEP)
        mean = loss(x, y, LABELS, temperature, where=KEEP, weights=WEIGHTS, reduction="mean")
        return jnp.sum(cotangent * losses) + mean, losses

    def sliced(x, y, temperature):
        losses = loss(x, y, LABELS[keep], temperature)
        mean = loss(x, y, LABELS[keep], temperature, weights=WEIGHTS[keep], reduction="mean")
        return jnp.sum(cotangent[keep] * losses) + mean, losses

    of_all = jax.jit(jax.value_and_grad(whole, argnums=(0, 1, 2), has_aux=True))
    of_slice = jax.jit(jax.value_and_grad(sliced, argnums=(0, 1, 2), has_aux=True))
    (total, losses), slopes = of_slice(X[keep], Y[keep], jnp.float32(0.3))
    for fill in (None, np.nan, np.inf):
        x, y = (z if fill is None else jnp.where(KEEP[:, None], z, fill) for z in (X, Y))
        (got, got_losses), (dx, dy, dt) = of_all(x, y, jnp.float32(0.3))
        close((got, got_losses[keep], dx[keep], dy[keep], dt), (total, losses, *slopes))
        for masked in (got_losses, dx, dy):
            assert not np.any(masked[~keep])


@mostly_slow("supervised")
def test_nothing_kept_or_nothing_there_is_zero_with_zero_gradient(name):
    loss = LOSSES[name]

    def mean(x, where):
        n = x.shape[0]
        return loss(x, Y[:n], LABELS[:n], 0.3, where=where, reduction="mean")

    for x, where in ((X.at[3].set(jnp.nan), jnp.zeros(N, bool)), (X[:0], None)):
        value, slope = jax.value_and_grad(mean)(x, where)
        assert value == 0
        assert not np.any(slope)
    assert loss(X[:0], Y[:0], LABELS[:0], 0.3).shape == (0,)


# --- several devices --------------------------------------------------------------------------


def sharded_against_single(name, reduction, axis_name, mesh, check_vma, negatives=None):
    loss, extra = LOSSES[name], {} if negatives is None else {"negatives": negatives}
    cotangent = jnp.cos(jnp.arange(N)) if reduction == "none" else 1.0

    def call(x, y, temperature, labels, where, weights, extra, axis_name):
        options = dict(extra, where=where, weights=weights, reduction=reduction)
        return loss(x, y, labels, temperature, axis_name=axis_name, **options)

    shared = P(axis_name)
    spread = jax.shard_map(
        partial(call, axis_name=axis_name),
        mesh=mesh,
        in_specs=(shared, shared, P(), shared, shared, shared, shared),
        out_specs=shared if reduction == "none" else P(),
        check_vma=check_vma,
    )
    found = []
    for function in (spread, partial(call, axis_name=None)):

        def total(x, y, temperature, weights, function=function):
            losses = function(x, y, temperature, LABELS, KEEP, weights, extra)
            return jnp.sum(cotangent * losses), losses

        graded = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
        found.append(jax.jit(graded)(X, Y, jnp.float32(0.3), WEIGHTS))
    close(*found)


def mesh_of(*shape):
    names = ("data", "model")[: len(shape)]
    return jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(shape))


@mostly_slow("InfoNCE", "SigLIP in chunks")
def test_the_mean_over_devices_is_that_of_one_in_value_and_gradient(name):
    sharded_against_single(name, "mean", "data", mesh_of(8), check_vma=True)


@pytest.mark.slow
def test_further_negatives_are_shared_by_devices_too():
    sharded_against_single("InfoNCE", "mean", "data", mesh_of(8), True, negatives=NEGATIVES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reduction", "axis_name", "shape", "check_vma"),
    [
        ("none", "data", (8,), True),
        ("sum", "data", (8,), False),
        ("mean", "data", (4, 2), False),
        ("none", ("data", "model"), (4, 2), True),
        ("mean", ("data", "model"), (2, 4), True),
    ],
)
@ALL
def test_every_reduction_over_any_mesh_is_that_of_one_device(
    name, reduction, axis_name, shape, check_vma
):
    sharded_against_single(name, reduction, axis_name, mesh_of(*shape), check_vma)


@mostly_slow()
def test_a_gradient_taken_inside_shard_map_is_that_of_one_device(name):
    """As a data-parallel step takes it: the parameter is replicated, its gradient summed."""
    loss = LOSSES[name]

    def slope(x, y, labels, where, temperature, axis_name):
        def mean(temperature):
            options = {"where": where, "axis_name": axis_name, "reduction": "mean"}
            return loss(x, y, labels, temperature, **options)

        return jax.value_and_grad(mean)(temperature)

    shared = P("data")
    inside = jax.shard_map(
        partial(slope, axis_name="data"),
        mesh=mesh_of(8),
        in_specs=(shared, shared, shared, shared, P()),
        out_specs=P(),
    )
    arguments = (X, Y, LABELS, KEEP, jnp.float32(0.3))
    close(jax.jit(inside)(*arguments), jax.jit(partial(slope, axis_name=None))(*arguments))


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=lambda t: t.name)
@mostly_slow("supervised")
def test_plain_jit_takes_sharded_inputs(name, axis_type):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    place = NamedSharding(mesh, P("data"))
    x, y, labels, keep = (jax.device_put(z, place) for z in (X, Y, LABELS, KEEP))

    def mean(x, y, labels, keep):
        return LOSSES[name](x, y, labels, 0.3, where=keep, reduction="mean")

    slopes = jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))
    close(slopes(x, y, labels, keep), slopes(X, Y, LABELS, KEEP))


def test_the_axis_must_be_around_the_call():
    for loss in LOSSES.values():
        with pytest.raises(ValueError, match="axis_name='data' is no axis around this call"):
            loss(X, Y, LABELS, 0.3, axis_name="data")


# --- the contract's clauses about single examples, on a stack of batches ------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loss", [info_nce, clip_loss, siglip_loss], ids=lambda f: f.__name__)
def test_a_stack_of_batches_keeps_the_contract(loss):
    rng = np.random.default_rng(1)
    pairs = tuple(rng.normal(size=(2, 3, 2)).astype(np.float32) for _ in range(2))
    clauses = ("vmap_equals_loop", "transforms", "sharded_equals_single")
    report = assert_loss_contract(
        jax.vmap(loss), pairs, argnums=(0, 1), keywords=(), clauses=clauses
    )
    assert set(report.passed) == set(clauses)


@pytest.mark.slow
def test_a_stack_of_labelled_batches_keeps_the_contract():
    z = np.random.default_rng(1).normal(size=(2, 4, 2)).astype(np.float32)
    labels = np.array([[0, 1, 1, 0], [2, 2, 2, 0]])
    clauses = ("vmap_equals_loop", "transforms", "sharded_equals_single")
    mapped = jax.vmap(supervised_contrastive)
    report = assert_loss_contract(mapped, (z, labels), keywords=(), clauses=clauses)
    assert set(report.passed) == set(clauses)


# --- directions -------------------------------------------------------------------------------


def test_unit_vectors_are_right_at_every_length():
    x = np.array([[3.0, 4.0], [-1.0, 0.0]], np.float32)
    wanted = [[0.6, 0.8], [-1.0, 0.0]]
    for length in (1.0, 1e30, 1e-30, 1e38):  # squares of the last three leave float32
        np.testing.assert_allclose(unit(jnp.asarray(x / 4 * np.float32(length))), wanted, rtol=3e-7)
    # The derivative of x / |x| is (1 − u uᵀ) / |x|.
    slope = jax.jacrev(unit)(jnp.array([[3e20, 4e20]]))[0, :, 0]
    u = np.array([0.6, 0.8])
    np.testing.assert_allclose(slope, (np.eye(2) - np.outer(u, u)) / 5e20, rtol=1e-6)


@mostly_slow("CLIP")
def test_a_zero_vector_can_leave_zero_and_spoils_no_other(name):
    loss = LOSSES[name]

    def total(x, y):
        return jnp.sum(loss(x, y, LABELS, 0.3))

    x, y = X.at[2].set(0), Y.at[2].set(0)
    value, slopes = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(x, y)
    assert np.isfinite(value)
    for slope in slopes:
        assert np.isfinite(slope).all()
        assert np.all(np.any(slope[2:], axis=1))


@mostly_slow()
def test_the_hessian_is_finite_and_the_same_in_every_order_of_modes(name):
    loss, n = LOSSES[name], 4

    def total(x):
        return jnp.sum(loss(x, Y[:n], LABELS[:n] % 2, 0.3) * jnp.arange(1.0, n + 1))

    @jax.jit
    def hessians(x):
        slope = jax.grad(total)
        return jax.jacfwd(slope)(x), jax.jacrev(slope)(x), jax.jacfwd(jax.jacfwd(total))(x)

    for x in (X[:n], X[:n].at[1].set(0)):
        one, *others = hessians(x)
        assert np.isfinite(one).all()
        for other in others:
            close(other, one)


# --- bad input --------------------------------------------------------------------------------


def test_bad_input_is_refused():
    for loss, first, second in (
        (info_nce, "queries", "keys"),
        (clip_loss, "image_embeddings", "text_embeddings"),
        (siglip_loss, "image_embeddings", "text_embeddings"),
    ):
        with pytest.raises(ValueError, match=rf"{second} must have the shape of {first}"):
            loss(X, Y[:-1])
        with pytest.raises(ValueError, match=rf"{first} must be a batch of embeddings \[N, D\]"):
            loss(X[0], Y[0])
        with pytest.raises(TypeError, match=rf"{first} must be floating point, got int32"):
            loss(X.astype(jnp.int32), Y)
        with pytest.raises(TypeError, match="where must be boolean"):
            loss(X, Y, where=WEIGHTS)
        with pytest.raises(ValueError, match="weights must be broadcastable"):
            loss(X, Y, weights=jnp.ones((N, N)))
        option = "temperature" if loss is info_nce else "logit_scale"
        for bad in (0.0, -1.0, np.inf, np.nan):
            with pytest.raises(ValueError, match=f"{option} must be positive and finite"):
                loss(X, Y, **{option: bad})
    with pytest.raises(ValueError, match=r"negatives must be embeddings \[M, 5\]"):
        info_nce(X, Y, negatives=NEGATIVES[:, :3])
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        siglip_loss(X, Y, chunk=0)
    with pytest.raises(TypeError, match="chunk must be an integer"):
        siglip_loss(X, Y, chunk=True)
    with pytest.raises(ValueError, match="bias must be finite"):
        siglip_loss(X, Y, bias=np.inf)


@mostly_slow("InfoNCE")
def test_a_traced_scale_that_is_not_positive_gives_nan(name):
    def total(x, temperature):
        return jnp.sum(LOSSES[name](x, Y, LABELS, temperature))

    assert np.isnan(jax.jit(jax.grad(total))(X, jnp.float32(-0.1))).all()
