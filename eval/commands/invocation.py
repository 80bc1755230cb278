"""The command line that this process was called with, for reports to be repeated by."""

from __future__ import annotations

import shlex
import sys


def command_line() -> str:
    """Return the command as a shell takes it."""
    return shlex.join(["asknotes", *sys.argv[1:]])
