"""FLOPs of one instruction of a compiled program: matrix products and convolutions.

Only these count. They are what a device's matrix rate speaks of; an exponential or an addition is
paid in bytes moved, long before it is paid in arithmetic.
"""

import math
import re

from xentjax.timing.hlo import ArrayShape, Computation, Instruction

# Library calls that XLA puts in the place of a product; their dimensions stand in the config.
_PRODUCT_TARGETS = frozenset(
    {"__cublas$gemm", "__cublas$lt$matmul", "__cublas$lt$matmul$f8", "__onednn$matmul"}
)
# Calls that hold no product.
_PRODUCTLESS_TARGETS = frozenset(
    {"TopK", "Sharding", "cu_threefry2x32_ffi", "PrepareForCustomCall"}
)


class UnknownWorkError(Exception):
    """What an instruction costs cannot be told from the program; the message says why."""


def product_flops(instruction: Instruction, computation: Computation) -> int:
    """FLOPs of a product, 2 for each multiplication and its addition; 0 for anything else.

    Args:
        instruction: of any kind that calls no computation.
        computation: the one it stands in, where its operands' shapes are found.

    Returns:
        2·B·M·K·N for a product of B `[M, K]` by `[K, N]`; for a convolution 2 for each entry of
        the kernel that meets an entry of the input, padding and holes left out, as XLA counts.

    Raises:
        UnknownWorkError: it calls a library whose work cannot be seen.
    """
    if instruction.opcode == "dot":
        return _dot_flops(instruction, computation, r"lhs_contracting_dims=\{([\d,]*)\}")
    if instruction.opcode == "convolution":
        return _convolution_flops(instruction, computation)
    if instruction.opcode == "custom-call":
        return _library_flops(instruction, computation)
    if instruction.opcode in ("cholesky", "triangular-solve", "fft"):
        raise UnknownWorkError(f"{instruction.opcode} is not counted")
    return 0


def _dot_flops(instruction: Instruction, computation: Computation, contracted: str) -> int:
    found = re.search(contracted, instruction.attributes)
    if found is None:
        raise UnknownWorkError(f"{instruction.name} does not name the axes it sums over")
    left = computation.operands(instruction)[0].arrays[0].dimensions
    terms = math.prod(left[int(axis)] for axis in re.findall(r"\d+", found[1]))
    return 2 * terms * instruction.arrays[0].size


def has_product(instruction: Instruction) -> bool:
    """Whether a custom call is a matrix product that a library does."""
    return _target(instruction) in _PRODUCT_TARGETS


def _target(instruction: Instruction) -> str:
    found = re.search(r'custom_call_target="([^"]*)"', instruction.attributes)
    return found[1] if found else instruction.name


def _library_flops(instruction: Instruction, computation: Computation) -> int:
    target = _target(instruction)
    if target in _PRODUCTLESS_TARGETS:
        return 0
    if target in _PRODUCT_TARGETS:
        return _dot_flops(instruction, computation, r'"lhs_contracting_dimensions":\[([^\]]*)\]')
    raise UnknownWorkError(f"it calls {target}, whose work XLA does not show")


def _convolution_flops(instruction: Instruction, computation: Computation) -> int:
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", instruction.attributes)
    if labels is None:
        raise UnknownWorkError(f"{instruction.name} does not name its dimensions")
    base, kernel = (operand.arrays[0] for operand in computation.operands(instruction))
    output = instruction.arrays[0]
    window = _window(instruction.attributes)
    meetings = 1
    for axis in sorted(letter for letter in labels[3] if letter.isdigit()):
        sizes = [
            shape.dimensions[label.index(axis)]
            for shape, label in zip((base, kernel, output), labels.groups(), strict=True)
        ]
        meetings *= _meetings(*sizes, **{k: v[int(axis)] for k, v in window.items()})
    # Each number of the result sums over the kernel's inputs; groups are in the shapes already.
    channels = _size(kernel, labels[2], "i")
    results = _size(output, labels[3], "b") * _size(output, labels[3], "f")
    return 2 * channels * results * meetings


def _size(shape: ArrayShape, labels: str, letter: str) -> int:
    return shape.dimensions[labels.index(letter)]


def _window(attributes: str) -> dict[str, list[int]]:
    found = re.search(r"window=\{([^}]*)\}", attributes)
    fields = dict(field.split("=") for field in found[1].split()) if found else {}
    axes = len(fields.get("size", "").split("x")) if "size" in fields else 0

    def listed(name: str, default: str) -> list[int]:
        values = fields.get(name, "x".join([default] * axes)).split("x")
        return [int(value.split("_")[0]) for value in values if value]

    return {
        "stride": listed("stride", "1"),
        "pad": listed("pad", "0_0"),
        "hole": listed("lhs_dilate", "1"),
        "step": listed("rhs_dilate", "1"),
    }


def _meetings(
    base: int, kernel: int, output: int, stride: int, pad: int, hole: int, step: int
) -> int:
    """Pairs (output, kernel entry) along one axis that meet an entry of the input."""
    width = (base - 1) * hole + 1
    places = (
        o * stride + k * step - pad  # in the input with its holes
        for o in range(output)
        for k in range(kernel)
    )
    return sum(0 <= place < width and place % hole == 0 for place in places)
