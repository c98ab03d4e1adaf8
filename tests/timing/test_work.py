"""Work of kernels of known cost; where no loop runs, XLA's own cost analysis is the oracle."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from xentjax import linear_cross_entropy
from xentjax.timing import Work

X, W = jnp.ones((2, 3)), jnp.ones((3, 3))
ONE = 2 * 2 * 3 * 3  # FLOPs of X @ W


def compiled(function, *args):
    return jax.jit(function).lower(*args).compile()


def layer(x):
    return jnp.tanh(jnp.sin(x) @ W)


def scanned(x, length=5, body=layer):
    return lax.scan(lambda x, _: (body(x), None), x, length=length)[0]


def until_small(x):
    return lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x @ W, x)


@jax.custom_vjp
def own_rule(x):
    return x @ W


own_rule.defvjp(lambda x: (x @ W, None), lambda _, ct: (ct @ W @ W,))

KNOWN = {
    "one product": (lambda x: x @ W, ONE),
    "scan": (scanned, 5 * ONE),
    "scan, unrolled by two": (
        lambda x: lax.scan(lambda x, _: (jnp.tanh(x @ W), None), x, length=6, unroll=2)[0],
        6 * ONE,
    ),
    "nested scans": (
        lambda x: lax.scan(lambda x, _: (scanned(x), None), x, length=4)[0],
        20 * ONE,
    ),
    "fori_loop": (lambda x: lax.fori_loop(0, 7, lambda _, x: jnp.tanh(x @ W), x), 7 * ONE),
    "while_loop that counts": (
        lambda x: lax.while_loop(lambda s: s[0] < 9, lambda s: (s[0] + 1, s[1] @ W), (0, x))[1],
        9 * ONE,
    ),
    "lax.map": (lambda x: lax.map(lambda row: row @ W, x), ONE),
    "equal branches": (
        lambda x: lax.cond(x[0, 0] > 0, lambda x: x @ W, lambda x: x @ (W + 1), x),
        ONE,
    ),
    "no product": (lambda x: jnp.sort(x) + jnp.exp(x), 0),
    "a loop of unknown length without products": (
        lambda x: lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x + 1, x),
        0,
    ),
    "gradient of a scan": (
        # Forward, then d x by one product a step; W is a constant.
        jax.grad(lambda x: jnp.sum(scanned(x))),
        10 * ONE,
    ),
    "gradient of a scan that recomputes": (
        # Twice forward, once backward.
        jax.grad(lambda x: jnp.sum(scanned(x, body=jax.checkpoint(layer)))),
        15 * ONE,
    ),
    "custom derivative": (jax.grad(lambda x: jnp.sum(jnp.sin(own_rule(x)))), 3 * ONE),
}


@pytest.mark.parametrize(("function", "wanted"), KNOWN.values(), ids=KNOWN)
def test_flops_equal_a_count_by_hand(function, wanted):
    assert Work.of(compiled(function, X)).flops == wanted


def test_a_loop_that_waits_is_unknown_and_says_why():
    work = Work.of(compiled(until_small, X))
    assert (work.flops, work.bytes) == (None, None)
    assert work.unknown == ("a loop runs until a condition holds: nobody knows how often",)
    assert work.least_bytes == 2 * X.nbytes  # what comes in and goes out is known all the same


def test_branches_that_differ_are_unknown():
    work = Work.of(compiled(lambda x: lax.cond(x[0, 0] > 0, lambda x: x @ W, jnp.sin, x), X))
    assert work.flops is None
    assert work.unknown == ("the branches of a condition differ in their work",)


def test_a_library_call_is_unknown_and_named():
    work = Work.of(compiled(jnp.linalg.cholesky, jnp.eye(4)))
    assert work.flops is None
    assert "potrf" in work.unknown[0]


def test_bytes_of_a_scan_are_those_of_its_slices_and_not_of_the_whole_array_each_time():
    length, row = 100, 8 * 16 * 4
    xs = jnp.ones((length, 8, 16))

    def total_and_doubled(xs):
        return lax.scan(lambda c, x: (c + x, 2 * x), jnp.zeros((8, 16)), xs)

    program = compiled(total_and_doubled, xs)
    moved = Work.of(program).bytes
    # Each step reads a row for the sum and one for its double, writes the double, and reads and
    # writes the carry; counters and a copy of the carry at most double that.
    assert 5 * length * row <= moved <= 2 * 5 * length * row + 2 * xs.nbytes
    # The planted error: XLA's own figure counts one of the hundred steps.
    assert program.cost_analysis()["bytes accessed"] < moved / 5


def test_a_longer_scan_costs_as_much_more_as_it_is_longer():
    works = [Work.of(compiled(lambda x, n=n: scanned(x, n), X)) for n in (10, 20, 30)]
    flops, moved = ([getattr(work, name) for work in works] for name in ("flops", "bytes"))
    assert flops == [10 * ONE, 20 * ONE, 30 * ONE]
    assert moved[2] - moved[1] == moved[1] - moved[0] > 0


def convolve(x, kernel, **options):
    return lax.conv_general_dilated(
        x, kernel, padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


IMAGE, KERNEL = jnp.ones((2, 8, 6, 4)), jnp.ones((3, 3, 4, 8))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda x, k: convolve(x, k, window_strides=(2, 1), rhs_dilation=(1, 2)), (IMAGE, KERNEL)),
        (
            lambda x, k: convolve(x, k, window_strides=(1, 1), feature_group_count=2),
            (IMAGE, KERNEL[:, :, :2]),
        ),
        (
            jax.grad(lambda x, k: convolve(x, k, window_strides=(2, 1)).sum(), argnums=(0, 1)),
            (IMAGE, KERNEL),
        ),
        (
            jax.grad(
                lambda x, k: convolve(x, k, window_strides=(1, 1), feature_group_count=2).sum(),
                argnums=(0, 1),
            ),
            (IMAGE, KERNEL[:, :, :2]),
        ),
        (lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (jnp.ones((3, 4, 5)), jnp.ones((3, 5, 6)))),
        (lambda a, b: a @ b, (jnp.ones((40, 50)), jnp.ones(50))),
    ],
    ids=[
        "dilated",
        "grouped",
        "gradient with holes",
        "gradient of groups",
        "batched product",
        "matrix and vector",
    ],
)
def test_products_without_loops_cost_what_xla_says(function, args):
    program = compiled(function, *args)
    assert Work.of(program).flops == program.cost_analysis()["flops"]


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (jax.grad(lambda x: jax.nn.logsumexp(x, axis=1).sum()), (jnp.ones((64, 128)),)),
        (jax.grad(lambda x: jnp.tanh(jnp.tanh(x @ x) @ x).sum()), (jnp.ones((64, 64)),)),
        (lambda x: jnp.sort(x) + jnp.cumsum(x), (jnp.ones(100),)),
        (lambda x, i: lax.dynamic_slice(x, (i, 0), (2, 16)) * 2, (jnp.ones((99, 16)), 3)),
        (lambda x, i: lax.dynamic_update_slice(x, x[:1], (i, 0)), (jnp.ones((99, 16)), 3)),
        (lambda x, i: x.at[i].add(1.0), (jnp.ones((99, 16)), jnp.arange(8))),
        (lambda x: x.astype(jnp.bfloat16).T, (jnp.ones((33, 65)),)),
    ],
    ids=["softmax", "mlp", "sort", "slice", "update", "scatter", "cast"],
)
def test_bytes_without_loops_are_what_xla_says(function, args):
    # One result each: of several XLA counts the addresses too, which no array holds.
    program = compiled(function, *args)
    assert Work.of(program).bytes == program.cost_analysis()["bytes accessed"]


def test_the_tiled_loss_does_its_three_products_where_xla_counts_one_tile():
    N, D, V = 256, 8, 1024
    labels = jnp.zeros(N, jnp.int32)

    def loss(hidden, weight):
        return linear_cross_entropy(hidden, weight, labels, tile=32)

    program = compiled(jax.value_and_grad(loss, argnums=(0, 1)), jnp.ones((N, D)), jnp.ones((D, V)))
    assert Work.of(program).flops == 3 * 2 * N * D * V
    assert program.cost_analysis()["flops"] < 3 * 2 * N * D * V / 2


def test_a_gather_reads_its_rows_and_not_the_table():
    table, rows = jnp.ones((1000, 16)), jnp.arange(8)
    work = Work.of(compiled(lambda table, rows: table[rows], table, rows))
    # Eight rows read and written, their eight indices read.
    assert work.bytes == work.least_bytes == 2 * 8 * 16 * 4 + 8 * 4


def test_work_is_counted_on_each_device():
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    x = jax.device_put(jnp.ones((8, 3)), rows)
    assert Work.of(compiled(lambda x: x @ W, x)).flops == 2 * (8 // 4) * 3 * 3


class Printing:
    """A stand-in for a compiled program of a known text."""

    def __init__(self, text):
        self._text = text

    def as_text(self):
        return self._text


def test_a_product_done_by_a_library_is_read_from_its_configuration():
    text = """
ENTRY %main (x: f32[8,16], w: f32[16,32]) -> f32[8,32] {
  %x = f32[8,16]{1,0} parameter(0)
  %w = f32[16,32]{1,0} parameter(1)
  %gemm = (f32[8,32]{1,0}, s8[4194304]{0}) custom-call(%x, %w), custom_call_target="__cublas$gemm",\
 backend_config={"gemm_backend_config":{"dot_dimension_numbers":{\
"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"]}}}
  ROOT %y = f32[8,32]{1,0} get-tuple-element(%gemm), index=0
}
"""
    work = Work.of(Printing(text))
    assert work.flops == 2 * 8 * 16 * 32
    assert work.bytes == work.least_bytes == 4 * (8 * 16 + 16 * 32 + 8 * 32)  # no working memory


def test_a_fusion_reads_its_slices_and_writes_its_update():
    text = """
%fused (p0: f32[10,4], p1: f32[100], p2: s32[]) -> f32[20,5] {
  %p0 = f32[10,4]{1,0} parameter(0)
  %p1 = f32[100]{0} parameter(1)
  %p2 = s32[] parameter(2)
  %upper = f32[8,4]{1,0} slice(%p0), slice={[0:8], [0:4]}
  %lower = f32[8,4]{1,0} slice(%p0), slice={[2:10], [0:4]}
  %sum = f32[8,4]{1,0} add(%upper, %lower)
  %five = f32[5]{0} custom-call(%sum)
  %replaced = f32[100]{0} dynamic-update-slice(%p1, %five, %p2)
  ROOT %square = f32[20,5]{1,0} bitcast(%replaced)
}
ENTRY %main (x: f32[10,4], y: f32[100], i: s32[]) -> f32[20,5] {
  %x = f32[10,4]{1,0} parameter(0)
  %y = f32[100]{0} parameter(1)
  %i = s32[] parameter(2)
  ROOT %fusion = f32[20,5]{1,0} fusion(%x, %y, %i), kind=kLoop, calls=%fused
}
"""
    # The two slices overlap: together they read the 40 numbers of x once. Of y nothing is read.
    assert Work.of(Printing(text)).bytes == 4 * 40 + 4 + 4 * 5


def test_the_condition_of_a_loop_is_asked_once_more_than_its_body_runs():
    text = """
%body (s: f32[4,4]) -> f32[4,4] {
  ROOT %s = f32[4,4]{1,0} parameter(0)
}
%condition (c: f32[4,4]) -> pred[] {
  %c = f32[4,4]{1,0} parameter(0)
  %square = f32[4,4]{1,0} dot(%c, %c), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %more = pred[] constant(true)
}
ENTRY %main (x: f32[4,4]) -> f32[4,4] {
  %x = f32[4,4]{1,0} parameter(0)
  ROOT %loop = f32[4,4]{1,0} while(%x), condition=%condition, body=%body, backend_config={\
"known_trip_count":{"n":"3"}}
}
"""
    work = Work.of(Printing(text))
    assert work.flops == (3 + 1) * 2 * 4 * 4 * 4
    assert work.bytes == (3 + 1) * 3 * 4 * 4 * 4  # two operands and a result


@pytest.mark.parametrize("text", ["", "no program", "ENTRY %main () -> f32[] {\n  broken\n}"])
def test_a_text_of_another_kind_is_unknown_and_stops_nobody(text):
    work = Work.of(Printing(text))
    assert work.flops is None
    assert "cannot be read" in work.unknown[0]


def test_a_backend_that_does_not_print_is_unknown():
    assert Work.of(Printing(None)).unknown == ("the backend does not print its program",)


def test_what_the_caller_gives_is_taken_for_what_is_counted():
    counted = Work(flops=None, bytes=30, least_bytes=20, unknown=("a loop",))
    assert counted.given(6e9, None) == Work(6_000_000_000, 30, 20, ("a loop",))
    assert counted.given(6, 2) == Work(6, 30, 2, ())
