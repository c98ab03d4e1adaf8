"""The command line: `xentjax train digits`, `xentjax train gpt`, `xentjax --version`.

Each command parses a typed config, calls one function of the package, and shows what came back.
"""

from xentjax.cli.commands import main

__all__ = ["main"]
