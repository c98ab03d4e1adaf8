"""Training: the digits CNN beside scikit-learn, and a GPT's step beside torch and nnx.jit.

Run `python -m bench.train` (five to ten minutes on two cores). `bench.train_gpt`, which it calls,
says what each contestant is; `bench.sweep` times sweeps and the learning-rate finder.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from rich.console import Console

from bench import train_gpt
from bench.digits import measure_digits
from xentjax.timing import Environment

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, choices=(2, 3, 4, 5, 6, 8, 10))
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", choices=("digits", "gpt"))
    parser.add_argument("--json", type=Path, default=RESULTS, help="folder of the JSON files")
    arguments = parser.parse_args()
    console = Console()
    console = console if console.is_terminal else Console(width=110)
    if arguments.only != "digits":
        train_gpt.run(arguments.rounds, arguments.json / "train_gpt.json", console)
    if arguments.only != "gpt":
        rows = measure_digits(arguments.seeds, console)
        environment = Environment.of(None, ("xentjax", "flax", "optax", "scikit-learn"))
        figures = {"environment": dataclasses.asdict(environment), "digits": rows}
        (arguments.json / "digits.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
