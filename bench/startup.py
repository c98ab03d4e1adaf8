"""What a user waits for before anything runs: imports, and the compilation of a loss.

Imports are timed in fresh interpreters. An empty one shows what Python itself takes; one that goes
on to load a loss needs jax, and shows what the lazy names put off. Compilation is trace, lowering
and XLA together, of the same value and gradients: the fused loss beside the dense one.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from bench import dense
from bench.alternation import Samplers, alternate
from bench.contest import FLOOR, OURS, PEER, VARIANT, Contest, Role
from bench.effort import Effort
from bench.heat import Heat
from bench.linear_contestants import OPTAX, XENTJAX, gradients, optax_loss, xentjax_loss
from xentjax.fused.cases import Case

ROOT = Path(__file__).resolve().parents[1]
Programs = dict[str, tuple[Role, str]]
IMPORTS: dict[str, Programs] = {
    "import xentjax": {
        "xentjax": (OURS, "import xentjax"),
        "an empty interpreter": (VARIANT, "pass"),
        "import jax": (FLOOR, "import jax"),
    },
    "import one loss": {
        "xentjax": (OURS, "from xentjax import softmax_cross_entropy"),
        "optax": (PEER, "from optax import softmax_cross_entropy"),
        "import jax": (FLOOR, "import jax"),
    },
    "import the fused loss": {
        "xentjax": (OURS, "from xentjax import linear_cross_entropy"),
        "optax": (PEER, "from optax import softmax_cross_entropy"),
        "import jax": (FLOOR, "import jax"),
    },
}
IMPORT_ROUNDS, COMPILE_ROUNDS = 5, 5
# A head, and a shape whose tiles are most different: compile time hardly depends on the shape.
CASES = (Case(2048, 512, 32768), Case(512, 2048, 128256))


def heats(effort: Effort) -> Iterator[Heat]:
    del effort
    for name, programs in IMPORTS.items():
        yield Heat("a fresh interpreter, from start to end", name, partial(imports, programs))
    logits = jax.ShapeDtypeStruct(dense.SHAPES[0], jnp.float32)
    labels = jax.ShapeDtypeStruct((dense.SHAPES[0].n,), jnp.int32)
    of_logits: Mapping[str, Any] = {
        XENTJAX: jax.value_and_grad(dense.xentjax_loss),
        OPTAX: jax.value_and_grad(dense.optax_loss),
    }
    table = "compilation of value and gradient"
    yield Heat(table, "dense logits", partial(compilations, of_logits, (logits, labels)))
    for case in CASES:
        of_hidden: Mapping[str, Any] = {
            XENTJAX: gradients(xentjax_loss),
            OPTAX: gradients(optax_loss),
        }
        hold = partial(compilations, of_hidden, arguments(case))
        yield Heat(table, f"linear, {case}", hold)


def imports(programs: Programs, heat: Heat, effort: Effort) -> Contest:
    samplers: Samplers = {
        name: (role, partial(fresh, code)) for name, (role, code) in programs.items()
    }
    for _, sample in samplers.values():
        sample()  # fills the file cache and writes the bytecode
    entries = alternate(samplers, effort.rounds or (3 if effort.full else 1) * IMPORT_ROUNDS)
    return Contest(heat.table, heat.case, entries)


def fresh(program: str) -> float:
    """Seconds of an interpreter that runs a program."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
    return time.perf_counter() - began


def compilations(
    losses: Mapping[str, Callable[..., Any]], args: tuple, heat: Heat, effort: Effort
) -> Contest:
    """The first loss is ours."""
    samplers: Samplers = {
        name: (OURS if i == 0 else PEER, partial(build_seconds, loss, args))
        for i, (name, loss) in enumerate(losses.items())
    }
    jax.config.update("jax_enable_compilation_cache", False)
    for _, sample in samplers.values():
        sample()  # JAX's own first steps
    entries = alternate(samplers, effort.rounds or (3 if effort.full else 1) * COMPILE_ROUNDS)
    return Contest(heat.table, heat.case, entries)


def build_seconds(fn: Callable[..., Any], args: tuple) -> float:
    """Trace, lowering and compilation of a function, none of it remembered from before."""

    def renewed(*xs: Any) -> Any:  # JAX remembers traces by the function's identity
        return fn(*xs)

    jax.clear_caches()
    began = time.perf_counter()
    jax.jit(renewed).lower(*args).compile()
    return time.perf_counter() - began


def arguments(case: Case) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Hidden states, head weight and labels, without a byte of them."""
    return (
        jax.ShapeDtypeStruct((case.n, case.d), jnp.float32),
        jax.ShapeDtypeStruct((case.d, case.v), jnp.float32),
        jax.ShapeDtypeStruct((case.n,), jnp.int32),
    )
