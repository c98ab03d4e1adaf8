"""A compiled program, read from its text: computations, their instructions, shapes and calls.

XLA prints the program it runs (`compiled.as_text()`). The text is the only public account of it
that names the loops and how often they run, so it is read here, and only as far as counting work
needs: names, shapes, operands and attributes. Nothing is executed.
"""

import math
import re
from dataclasses import dataclass

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_NAME = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,<= ]*)\]")
_OPERAND = re.compile(r"%([\w.\-]+)")
_METADATA = re.compile(r'metadata=\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}')
_TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class ArrayShape:
    """Element type and dimensions of one array."""

    dtype: str
    dimensions: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.dimensions)

    @property
    def bytes(self) -> int:
        """Bytes of all elements; two 4-bit ones share a byte."""
        return math.ceil(self.size * _bits(self.dtype) / 8)


@dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
        name: unique within the program.
        opcode: such as "dot", "fusion" or "while".
        arrays: the arrays of its result, tuples laid flat.
        operands: names of the instructions it reads.
        attributes: what stands behind the operands, metadata left out.
        arguments: what stands between the parentheses: the operands, or a parameter's number.
    """

    name: str
    opcode: str
    arrays: tuple[ArrayShape, ...]
    operands: tuple[str, ...]
    attributes: str
    arguments: str

    @property
    def bytes(self) -> int:
        """Bytes of the whole result."""
        return sum(array.bytes for array in self.arrays)

    @property
    def trip_count(self) -> int | None:
        """How often a while loop runs its body; None where XLA does not know."""
        found = _TRIP_COUNT.search(self.attributes)
        return int(found[1]) if found else None

    def called(self, role: str) -> tuple[str, ...]:
        """Names of the computations called as `role`: "calls", "body", "branch_computations" …"""
        listed = re.search(rf"\b{role}=\{{([^}}]*)\}}", self.attributes)
        if listed:
            return tuple(_OPERAND.findall(listed[1]))
        return tuple(re.findall(rf"\b{role}=%?([\w.\-]+)", self.attributes))


@dataclass(frozen=True)
class Computation:
    """Instructions by name, in order, and the one whose result is the computation's."""

    instructions: dict[str, Instruction]
    root: Instruction

    def users(self, name: str) -> list[Instruction]:
        """Instructions that read `name`."""
        return [user for user in self.instructions.values() if name in user.operands]

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """The instructions it reads, in the order of its operands."""
        return [self.instructions[name] for name in instruction.operands]

    def parameters(self) -> list[Instruction]:
        """The parameters by number."""
        found = [i for i in self.instructions.values() if i.opcode == "parameter"]
        return sorted(found, key=lambda parameter: int(parameter.arguments))


@dataclass(frozen=True)
class Program:
    """All computations of a module; `entry` is the one that runs."""

    computations: dict[str, Computation]
    entry: str

    @classmethod
    def parsed(cls, text: str) -> "Program":
        """Reads the text of one HLO module.

        Args:
            text: from `compiled.as_text()`.

        Returns:
            The program.

        Raises:
            ValueError: the text has no entry computation.

        Example:
            >>> program = Program.parsed('''
            ... ENTRY %main (x: f32[2,3]) -> f32[2,3] {
            ...   %x = f32[2,3]{1,0} parameter(0)
            ...   ROOT %y = f32[2,3]{1,0} negate(%x)
            ... }''')
            >>> root = program.computations["main"].root
            >>> root.opcode, root.operands, root.bytes
            ('negate', ('x',), 24)
        """
        computations: dict[str, Computation] = {}
        entry, name = None, ""
        lines: list[tuple[bool, Instruction]] = []
        for line in text.splitlines():
            header = _HEADER.match(line)
            if header:
                name, lines = header[2], []
                entry = name if header[1] else entry
            elif line.startswith("}") and lines:
                computations[name] = _computation(lines)
                lines = []
            elif _NAME.match(line):
                lines.append(_instruction(line))
        if entry is None:
            raise ValueError("text holds no ENTRY computation: give compiled.as_text()")
        return cls(computations, entry)


def _computation(lines: list[tuple[bool, Instruction]]) -> Computation:
    roots = [instruction for is_root, instruction in lines if is_root]
    by_name = {instruction.name: instruction for _, instruction in lines}
    return Computation(by_name, roots[0] if roots else lines[-1][1])


def _instruction(line: str) -> tuple[bool, Instruction]:
    start = _NAME.match(line)
    assert start is not None
    rest = line[start.end() :]
    type_end = _closed(rest) if rest.startswith("(") else rest.index(" ")
    opcode, call = rest[type_end:].lstrip().split("(", 1)
    end = _closed("(" + call) - 1
    arguments = call[: end - 1]
    instruction = Instruction(
        name=start[2],
        opcode=opcode,
        arrays=_arrays(rest[:type_end]),
        operands=() if opcode == "constant" else tuple(_OPERAND.findall(arguments)),
        attributes=_METADATA.sub("", call[end:]),
        arguments=arguments,
    )
    return start[1] is not None, instruction


def _closed(text: str) -> int:
    """Where the bracket that opens `text` has closed; brackets within quotes do not count."""
    depth, quoted = 0, False
    for index, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in _OPENING:
            depth += 1
        elif not quoted and letter in _CLOSING:
            depth -= 1
            if depth == 0:
                return index + 1
    raise ValueError(f"a bracket is never closed in {text[:80]!r}")


def _arrays(text: str) -> tuple[ArrayShape, ...]:
    # A dimension whose size is known only at run time is printed as its bound, <=8.
    return tuple(
        ArrayShape(dtype, tuple(int(size) for size in re.findall(r"\d+", sizes)))
        for dtype, sizes in _ARRAY.findall(text)
    )


def _bits(dtype: str) -> int:
    if dtype == "pred":
        return 8
    found = re.search(r"\d+", dtype)  # f32, bf16, s4, c128, f8e4m3fn
    return int(found[0]) if found else 0  # token[] and opaque[] hold nothing
