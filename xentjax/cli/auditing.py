"""`xentjax audit runs/…`: what a low loss may hide, as a page, as JSON and in the terminal."""

import contextlib
import dataclasses
import datetime
import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from xentjax.audit.auditing import audit
from xentjax.audit.page import write_html
from xentjax.audit.report_json import write_json
from xentjax.audit.terminal import print_summary
from xentjax.cli.options import AuditRun
from xentjax.plots.canvas import require_matplotlib


def run_audit(options: AuditRun, console: Console) -> None:
    """Audit, write the page and the JSON, print the summary."""
    require_matplotlib()
    if not options.only:
        raise ValueError("--only wants a danger, such as --only fairness; leave it out for all")
    folder = options.out or options.run
    # A run that does not exist is spoken of by who reads it.
    ready = _kept_if_used(folder) if options.out or folder.is_dir() else contextlib.nullcontext()
    with ready, console.status("reading the run") as status:

        def tell(title: str, doing: str) -> None:
            status.update(escape(f"{title}: {doing}" if doing else title))
            if not console.is_terminal and not doing:
                console.print(f"{escape(title)} …")

        report = audit(
            options.run,
            date=datetime.date.today().isoformat(),
            only=_named(options),
            quick=options.quick,
            private=options.private,
            seed=options.seed,
            draws=options.draws,
            on_progress=tell,
        )
        if options.out is not None:
            command = f"{report.made_with} --out {shlex.quote(str(options.out))}"
            report = dataclasses.replace(report, made_with=command)
        stem = _stem(options)
        write_html(report, folder / f"{stem}.html")
        write_json(report, folder / f"{stem}.json")
    print_summary(report, console, written=folder / f"{stem}.html")


def _stem(options: AuditRun) -> str:
    """The name of the report: a part of an audit never replaces the whole."""
    parts = ["audit", *_named(options), *(["quick"] if options.quick else [])]
    return "-".join(parts)


def _named(options: AuditRun) -> tuple[str, ...]:
    """The dangers that are asked for one by one; none where it is all of them."""
    return () if "all" in options.only else tuple(dict.fromkeys(options.only))


@contextlib.contextmanager
def _kept_if_used(folder: Path) -> Iterator[None]:
    """The folder, made and tried before the minutes of an audit; taken away if nothing comes of it.

    Raises:
        ValueError: if nothing can be written there.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    trial = folder / ".audit-trial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        _take_away(made)
        raise ValueError(
            f"the report needs a directory that can be written, got {str(folder)!r}: "
            f"{error.strerror}; name one with --out"
        ) from error
    try:
        yield
    except BaseException:
        _take_away(made)
        raise


def _take_away(made: list[Path]) -> None:
    with contextlib.suppress(OSError):
        for path in made:
            path.rmdir()
