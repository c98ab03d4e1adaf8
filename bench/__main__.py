"""The bench on the command line: `python -m bench` lists what there is.

python -m bench                          the benches, one line each
python -m bench dense ctc                measure these, write bench/results/<name>.json
python -m bench all                      measure all, then report
python -m bench losses --only focal      rows whose name holds "focal"; shown, not written
python -m bench report                   bench/RESULTS.md, tables of docs and pictures anew
python -m bench compare OLD.json NEW.json    exit code 1 where a ratio became worse
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.catalogue import BENCHES, NAMES, bench_named
from bench.effort import Effort
from bench.reasons import missing_reasons, read_reasons
from bench.record import RESULTS, Record, records_on_file
from bench.terminal import print_list, print_record, wide_console

ALL, REPORT, COMPARE = "all", "report", "compare"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = wide_console()
    try:
        match list(arguments):
            case []:
                print_list(console)
                return 0
            case ["compare" | "report", "-h" | "--help"]:
                console.print(__doc__, highlight=False, markup=False)
                return 0
            case ["compare", *files]:
                return _compare(files, console)
            case ["report", *rest]:
                return _report(rest, console)
        return _measure(_parser().parse_args(arguments), console)
    except ValueError as error:
        console.print(f"{error}", style="red", highlight=False, markup=False)
        return 2


def _parser() -> argparse.ArgumentParser:
    text = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=text[0],
        epilog="\n".join(text[1:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="+", metavar="name", help=f"{ALL}, or some of {', '.join(NAMES)}")
    add("--full", action="store_true", help="all shapes and ten times the rounds (an hour or two)")
    add("--rounds", type=_count, help="so many rounds of every contest, whatever they cost")
    add("--only", nargs="+", default=[], metavar="TEXT", help="rows whose name holds one of these")
    add("--out", type=Path, help="folder of the JSON files (bench/results; none for --only)")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 1 up")
    return int(text)


def _measure(options: argparse.Namespace, console: Console) -> int:
    if options.names == [ALL]:
        names = [bench.name for bench in BENCHES if bench.in_all]
        code = _measure_apart(names, options, console)
        return code or (0 if options.out else _report([], console))
    names = [bench_named(name).name for name in options.names]
    if len(names) > 1:
        return _measure_apart(names, options, console)
    return _measure_here(names[0], options, console)


def _measure_apart(names: Sequence[str], options: argparse.Namespace, console: Console) -> int:
    """Each bench in a process of its own: fresh caches, its own devices, its own failures."""
    failed, began = [], time.perf_counter()
    for name in names:
        console.rule(name)
        done = subprocess.run([sys.executable, "-m", "bench", name, *_flags(options)], check=False)
        failed += [name] if done.returncode else []
    console.print(f"{len(names)} benches, {(time.perf_counter() - began) / 60:.1f} minutes")
    if failed:
        console.print(f"failed: {', '.join(failed)}", style="bold red")
    return int(bool(failed))


def _flags(options: argparse.Namespace) -> list[str]:
    flags = ["--full"] if options.full else []
    flags += ["--rounds", str(options.rounds)] if options.rounds else []
    flags += ["--out", str(options.out)] if options.out else []
    return flags + (["--only", *options.only] if options.only else [])


def _measure_here(name: str, options: argparse.Namespace, console: Console) -> int:
    from bench.holding import held, set_up

    bench = bench_named(name)
    set_up(bench)
    effort = Effort(full=options.full, rounds=options.rounds)
    record = held(bench, effort, console, options.only)
    rehearsed = bench.devices is None and record.environment.device_platform == "cpu"
    folder = options.out or (None if options.only or rehearsed else RESULTS)
    if folder is not None:  # first of all: what was measured is not lost
        record.write(folder / f"{name}.json")
        console.print(f"figures written to {folder / name}.json", highlight=False)
    reasons = read_reasons()
    print_record(record, reasons.get(name, {}), console)
    for row in missing_reasons({name: record}, reasons):
        console.print(f"a peer is ahead, and no reason is written: {row}", style="yellow")
    return int(bool(record.failed))


def _report(rest: Sequence[str], console: Console) -> int:
    from bench.publication import publish

    if rest:
        raise ValueError(f"report takes no arguments, got {' '.join(rest)}")
    for path in publish(records_on_file(NAMES), read_reasons()):
        console.print(f"written: {path}", highlight=False)
    for row in missing_reasons(records_on_file(NAMES), read_reasons()):
        console.print(f"reason missing: {row}", style="yellow", highlight=False, markup=False)
    return 0


def _compare(files: Sequence[str], console: Console) -> int:
    from bench.regressions import change_table, changes, only_in_one

    if len(files) != 2:
        raise ValueError(f"compare takes two JSON files, OLD and NEW, got {len(files)}")
    for file in files:
        if not Path(file).is_file():
            raise ValueError(f"no file {file}")
    old, new = (Record.read(Path(file)) for file in files)
    found = changes(old, new)
    console.print(change_table(found))
    for line in only_in_one(old, new):
        console.print(line, style="yellow", highlight=False, markup=False)
    if old.environment != new.environment:
        console.print(f"then: {old.environment}\nnow:  {new.environment}", highlight=False)
    return int(any(change.worse for change in found))


if __name__ == "__main__":
    sys.exit(main())
