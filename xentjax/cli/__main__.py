"""`python -m xentjax.cli`, the same as the command `xentjax`."""

import sys

from xentjax.cli.commands import main

sys.exit(main())
