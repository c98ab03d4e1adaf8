"""Bytes one instruction of a compiled program moves: what it reads, and what it writes.

XLA's rules: everything an instruction is given is read once and its result written once; within
a fusion nothing is moved. A slice reads what it cuts, an update in place writes what it replaces.
One rule differs: a gather reads the rows it picks, where XLA charges the whole table.
"""

from xentjax.timing.hlo import Computation, Instruction, Program
from xentjax.timing.products import has_product

_FREE = frozenset(
    {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id"}
    | {"replica-id", "opt-barrier", "add-dependency", "domain", "async-done", "async-update"}
    | {"copy-done", "all-reduce-done", "all-gather-done", "collective-permute-done"}
    | {"send-done", "recv-done"}
)
_SLICES = frozenset({"slice", "dynamic-slice", "gather"})


def moved_bytes(instruction: Instruction, computation: Computation, program: Program) -> int:
    """Bytes read and written by an instruction that is no loop, branch or call.

    Args:
        instruction: any other.
        computation: the one it stands in.
        program: where a fusion's inside is found.

    Returns:
        Bytes.
    """
    opcode = instruction.opcode
    operands = [operand.bytes for operand in computation.operands(instruction)]
    if opcode in _FREE:
        return 0
    if opcode == "fusion":
        inside = program.computations[instruction.called("calls")[0]]
        return sum(map(_read, inside.parameters(), [inside] * len(operands))) + _written(inside)
    if opcode in _SLICES:
        return 2 * instruction.bytes + sum(operands[1:])
    if opcode == "dynamic-update-slice":
        return 2 * operands[1] + sum(operands[2:])
    if opcode == "scatter":
        tables = len(operands) // 2  # tables, indices, one update for each table
        return operands[tables] + 3 * sum(operands[tables + 1 :])
    if opcode == "copy-start":
        return 2 * operands[0]
    if opcode == "custom-call" and has_product(instruction):
        return sum(operands) + instruction.arrays[0].bytes  # the others are its working memory
    return sum(operands) + instruction.bytes


def _read(parameter: Instruction, inside: Computation) -> int:
    """Bytes a fusion reads of one parameter: all, unless every user takes a slice of it."""
    taken = 0
    pending = [parameter]
    while pending:
        source = pending.pop()
        for user in inside.users(source.name):
            is_first = (
                user.operands.index(source.name) == 0 and source.name not in user.operands[1:]
            )
            if user.opcode == "bitcast":
                pending.append(user)
            elif user.opcode in _SLICES and is_first:
                taken += user.bytes
            elif user.opcode == "dynamic-update-slice" and is_first:
                continue  # replaced in place, not read
            else:
                return parameter.bytes
    return min(taken, parameter.bytes)


def _written(inside: Computation) -> int:
    """Bytes a fusion writes: its result, but of an update in place only what is replaced."""
    roots = inside.operands(inside.root) if inside.root.opcode == "tuple" else [inside.root]
    total = 0
    for root in roots:
        while root.opcode == "bitcast":
            (root,) = inside.operands(root)
        updates = root.opcode == "dynamic-update-slice"
        total += inside.operands(root)[1].bytes if updates else root.bytes
    return total
