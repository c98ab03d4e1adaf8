"""`xentjax audit runs/…`: what a low loss may hide, as a page, as JSON and in the terminal."""

import datetime
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
    with console.status("reading the run") as status:

        def tell(title: str, doing: str) -> None:
            status.update(escape(f"{title}: {doing}" if doing else title))
            if not console.is_terminal and not doing:
                console.print(f"{escape(title)} …")

        report = audit(
            options.run,
            date=datetime.date.today().isoformat(),
            only=options.only,
            quick=options.quick,
            private=options.private,
            seed=options.seed,
            draws=options.draws,
            on_progress=tell,
        )
    # Only now: a run that cannot be read leaves no directory behind.
    folder = _folder(options.out or options.run)
    write_html(report, folder / "audit.html")
    write_json(report, folder / "audit.json")
    print_summary(report, console, written=folder / "audit.html")


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--out must be a directory that can be written, got {str(path)!r}: {error.strerror}"
        ) from error
    return path
