"""Writes that survive a crash, and what the operating system's refusals become."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from index import durable
from index.errors import StorageFailed


def test_a_new_file_is_never_written_over(tmp_path: Path) -> None:
    durable.write_bytes(tmp_path / "file", b"first")
    with pytest.raises(FileExistsError):
        durable.write_bytes(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"


def test_a_small_file_is_replaced_whole(tmp_path: Path) -> None:
    durable.replace_file(tmp_path / "CURRENT", b"000001\n")
    durable.replace_file(tmp_path / "CURRENT", b"000002\n")
    assert (tmp_path / "CURRENT").read_bytes() == b"000002\n"
    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]


def test_a_replacement_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.replace_file(tmp_path / "CURRENT", b"000001\n")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        durable.replace_file(tmp_path / "CURRENT", b"000002\n")
    assert (tmp_path / "CURRENT").read_bytes() == b"000001\n"
    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]


def test_a_leftover_of_a_dead_process_with_our_number_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f"CURRENT.{os.getpid()}.tmp").write_text("half")
    durable.replace_file(tmp_path / "CURRENT", b"000001\n")
    assert (tmp_path / "CURRENT").read_bytes() == b"000001\n"


def test_everything_is_synced_before_it_is_relied_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    folder = tmp_path / "new" / "folder"
    durable.make_folder(folder)
    durable.make_folder(folder)
    durable.write_bytes(folder / "a", b"a")
    durable.sync_file(folder / "a")
    durable.rename(folder, tmp_path / "named")
    durable.replace_file(tmp_path / "CURRENT", b"x")
    temporary = f"{tmp_path}/CURRENT.{os.getpid()}.tmp"
    assert synced == [str(folder.parent), str(folder / "a"), str(folder / "a"), str(tmp_path), temporary, str(tmp_path)]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "The disk is full"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
        (errno.EIO, "Check the disk"),
        (None, "Check the disk"),
    ],
)
def test_a_refusal_says_what_to_do(number: int | None, remedy: str) -> None:
    error = OSError("8 requested and 4 written") if number is None else OSError(number, os.strerror(number))
    with (
        pytest.raises(StorageFailed, match="Writing the new snapshot failed") as refusal,
        durable.storage_errors("Writing the new snapshot"),
    ):
        raise error
    assert remedy in refusal.value.hint
    assert "What was published before is untouched" in refusal.value.hint
    assert refusal.value.__cause__ is error
