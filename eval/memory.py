"""How much memory this process holds, by the system's own account."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")


def peak_resident_bytes() -> int:
    """The most that the process ever held, bytes; it never falls."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def resident_bytes() -> int:
    """What the process holds now, bytes; the peak where the system does not tell (anywhere but on Linux)."""
    if not _STATM.is_file():
        return peak_resident_bytes()
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
