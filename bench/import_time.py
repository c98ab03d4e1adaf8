"""What `import xentjax` costs beside `import jax`, each in a fresh interpreter.

Run `python -m bench.import_time` (or `python bench/import_time.py`). The interpreters alternate
in one run. An empty one shows what Python itself takes; the last contestant goes on to load a
loss, which needs jax: it shows what the lazy names put off, and what our own modules add to it.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from xentjax.timing import Plain, compare

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "import jax"
PROGRAMS = {
    "empty interpreter": "pass",
    BASELINE: "import jax",
    "import xentjax": "import xentjax",
    "import and a loss": "from xentjax import softmax_cross_entropy",
}


def run_fresh(program: str) -> int:
    return subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="alternating rounds (15)")
    parser.add_argument("--json", type=Path, help="where the figures go, if anywhere")
    options = parser.parse_args()
    entries = {name: (Plain(run_fresh), (program,)) for name, program in PROGRAMS.items()}
    # One warm-up round: it fills the file cache and writes the bytecode.
    comparison = compare(entries, baseline=BASELINE, runs=options.rounds, warmup=1)
    Console().print(comparison.table(title="a fresh interpreter, from start to end"))
    if options.json is not None:
        comparison.write_json(options.json)


if __name__ == "__main__":
    main()
