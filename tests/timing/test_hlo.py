import jax
import jax.numpy as jnp
import pytest

from xentjax.timing.hlo import ArrayShape, Program

TEXT = """HloModule jit_f, is_scheduled=true

%body.2 (arg: (s32[], f32[8,16])) -> (s32[], f32[8,16]) {
  %arg = (s32[], f32[8,16]{1,0:T(8,128)S(1)}, /*index=2*/pred[3]{0}) parameter(0)
  %text = s8[3]{0} constant("a)b")
  ROOT %all = (s32[], f32[8,16]{1,0}) fusion(%arg, f32[4]{0} %text), kind=kLoop, calls=%fused.1, \
metadata={op_name="body=%nobody {" stack_frame_id=7}, backend_config={"n":"3"}
}

ENTRY %main.4 (x.1: f32[8,16]) -> f32[8,16] {
  %x.1 = f32[8,16]{1,0} parameter(1)
  %y = f32[8,16]{1,0} parameter(0)
  %c = f32[8,16]{1,0} conditional(%x.1, %y), branch_computations={%body.2, %other}
  ROOT %w = f32[8,16]{1,0} while(%c), condition=%cond, body=%body.2, \
backend_config={"known_trip_count":{"n":"10"},"known_init_step":{"init":"0","step":"1"}}
}
"""


def test_computations_instructions_and_calls_are_read():
    program = Program.parsed(TEXT)
    assert program.entry == "main.4"
    assert list(program.computations) == ["body.2", "main.4"]
    main = program.computations["main.4"]
    assert [parameter.name for parameter in main.parameters()] == ["y", "x.1"]
    assert main.root.called("body") == ("body.2",)
    assert main.root.called("condition") == ("cond",)
    assert main.root.trip_count == 10
    assert main.instructions["c"].called("branch_computations") == ("body.2", "other")
    assert main.users("c") == [main.root]


def test_brackets_quotes_layouts_and_metadata_do_not_mislead():
    body = Program.parsed(TEXT).computations["body.2"]
    arg, text, fusion = body.instructions.values()
    assert arg.arrays == (
        ArrayShape("s32", ()),
        ArrayShape("f32", (8, 16)),
        ArrayShape("pred", (3,)),
    )
    assert arg.bytes == 4 + 4 * 8 * 16 + 3
    assert (text.opcode, text.operands, text.arguments) == ("constant", (), '"a)b"')
    assert fusion.operands == ("arg", "text")
    assert fusion.called("calls") == ("fused.1",)
    assert fusion.called("body") == ()  # that was a name in the metadata
    assert fusion.trip_count is None


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [("f32", 40), ("bf16", 20), ("pred", 10), ("c128", 160), ("s4", 5), ("u2", 3), ("token", 0)],
)
def test_bytes_follow_from_the_name_of_the_dtype(dtype, wanted):
    assert ArrayShape(dtype, (10,)).bytes == wanted


def test_the_whole_of_a_real_program_is_read():
    def loss(x):
        return jax.nn.logsumexp(jax.lax.map(jnp.sort, x)).sum()

    text = jax.jit(jax.value_and_grad(loss)).lower(jnp.ones((4, 8))).compile().as_text()
    program = Program.parsed(text)
    found = sum(len(one.instructions) for one in program.computations.values())
    assert found == text.count(" = ")
    assert text.count("ROOT ") == len(program.computations)
