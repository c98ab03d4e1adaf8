"""What a compiled program does in one run: FLOPs and bytes, with every round of every loop.

XLA's `cost_analysis` counts the body of a loop once, however often it runs: a scan over a
thousand tiles reads as one tile. Here a body counts as often as XLA knows that it runs. Where it
does not know (a `while_loop` that waits for a condition), where branches differ or a library
does the work, the figure is unknown and says why: a wrong number would be worse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xentjax.timing.hlo import Computation, Instruction, Program
from xentjax.timing.products import UnknownWorkError, product_flops
from xentjax.timing.traffic import moved_bytes

_Price = Callable[[Instruction, Computation], int]


@dataclass(frozen=True)
class Work:
    """Work of one run on each device.

    Attributes:
        flops: of matrix products and convolutions; None where unknown.
        bytes: moved between the program's instructions and memory, intermediate results
            included; None where unknown. What stays in a cache on the way is counted too.
        least_bytes: arguments read once and results written once, which no program that uses
            all of them can avoid.
        unknown: why a figure is None.
    """

    flops: int | None = None
    bytes: int | None = None
    least_bytes: int | None = None
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, compiled: Any) -> "Work":
        """Counts the work of a compiled program.

        Args:
            compiled: from `jax.jit(fn).lower(*args).compile()`.

        Returns:
            The work.

        Example:
            >>> import jax, jax.numpy as jnp
            >>> def power(x, w):
            ...     return jax.lax.fori_loop(0, 10, lambda _, x: x @ w, x)
            >>> x, w = jnp.ones((2, 3)), jnp.ones((3, 3))
            >>> Work.of(jax.jit(power).lower(x, w).compile()).flops  # 10 times 2·2·3·3
            360
        """
        text = compiled.as_text()
        if text is None:
            return cls(unknown=("the backend does not print its program",))
        try:
            program = Program.parsed(text)
            flops, why_flops = _known(_FlopCount(program))
            moved, why_bytes = _known(_Count(program, lambda i, c: moved_bytes(i, c, program)))
        except (ValueError, KeyError, IndexError) as error:
            # XLA promises no grammar; to time a program must not depend on reading it.
            return cls(unknown=(f"the program's text cannot be read ({error!r})",))
        least = _boundary_bytes(program.computations[program.entry])
        if moved is not None:
            least = min(least, moved)  # a program that picks rows reads less than its arguments
        return cls(flops, moved, least, tuple(dict.fromkeys(why_flops + why_bytes)))

    def given(self, flops: int | float | None, least_bytes: int | float | None) -> "Work":
        """The same with what the caller knows better; None leaves a figure as it is."""
        both = flops is not None and least_bytes is not None
        return Work(
            flops=self.flops if flops is None else int(flops),
            bytes=self.bytes,
            least_bytes=self.least_bytes if least_bytes is None else int(least_bytes),
            unknown=() if both else self.unknown,
        )


class _Count:
    """Adds up a price over a program, each computation as often as it runs."""

    def __init__(self, program: Program, price: _Price) -> None:
        self._program, self._price = program, price
        self._totals: dict[str, int] = {}

    def total(self, name: str) -> int:
        """The price of one run of a computation."""
        if name not in self._totals:
            computation = self._program.computations[name]
            instructions = computation.instructions.values()
            self._totals[name] = sum(self._of(one, computation) for one in instructions)
        return self._totals[name]

    @property
    def entry(self) -> int:
        """The price of one run of the program."""
        return self.total(self._program.entry)

    def _of(self, instruction: Instruction, computation: Computation) -> int:
        match instruction.opcode:
            case "while":
                return self._loop(instruction)
            case "conditional":
                return self._branches(instruction)
            case "call":
                return self.total(instruction.called("to_apply")[0])
            case "async-start":
                return self.total(instruction.called("calls")[0])
        return self._price(instruction, computation)

    def _loop(self, instruction: Instruction) -> int:
        body = self.total(instruction.called("body")[0])
        condition = self.total(instruction.called("condition")[0])
        if body == condition == 0:
            return 0
        if instruction.trip_count is None:
            raise UnknownWorkError("a loop runs until a condition holds: nobody knows how often")
        # The condition is asked once more than the body runs.
        return instruction.trip_count * (body + condition) + condition

    def _branches(self, instruction: Instruction) -> int:
        roles = ("branch_computations", "true_computation", "false_computation")
        names = [name for role in roles for name in instruction.called(role)]
        totals = {self.total(name) for name in names}
        if len(totals) > 1:
            raise UnknownWorkError("the branches of a condition differ in their work")
        return totals.pop()


class _FlopCount(_Count):
    """FLOPs: a fusion costs what is inside it."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, self._flops)

    def _flops(self, instruction: Instruction, computation: Computation) -> int:
        if instruction.opcode == "fusion":
            return self.total(instruction.called("calls")[0])
        return product_flops(instruction, computation)


def _known(count: _Count) -> tuple[int | None, tuple[str, ...]]:
    try:
        return count.entry, ()
    except UnknownWorkError as error:
        return None, (str(error),)


def _boundary_bytes(entry: Computation) -> int:
    return sum(parameter.bytes for parameter in entry.parameters()) + entry.root.bytes
