"""What a result was made with, so that it can be made again: versions, machine, settings."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from eval.results import Provenance
from service.settings import Settings

_PACKAGES = (
    "asknotes",
    "bm25s",
    "faiss-cpu",
    "ir-measures",
    "numpy",
    "onnxruntime",
    "rjieba",
    "scipy",
    "sentence-transformers",
    "torch",
    "transformers",
)
_CPU_INFO = Path("/proc/cpuinfo")


def provenance(settings: Settings) -> Provenance:
    """Describe this moment, this machine and these settings."""
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        versions={package: _version(package) for package in _PACKAGES},
        settings=settings.model_dump(mode="json"),
    )


def machine() -> dict[str, str]:
    """Name the processor, the cores this process may use and the system."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
