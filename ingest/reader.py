"""Files on disk to notes: which files are read, by which name, and why the others are not."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from index.errors import NoteRejected, NotesMissing
from index.schema import Note
from ingest.config import ReaderConfig
from ingest.decoding import decode
from ingest.front_matter import FrontMatter, read_front_matter
from ingest.html import page_title
from ingest.markup import drop_highlights, drop_links
from ingest.pointers import SITE_SUFFIX
from ingest.regions import code_lines

NOTE_SUFFIXES = frozenset({".md", ".markdown", ".txt", ".html", ".htm"})
_PAGE_SUFFIXES = frozenset({".html", ".htm"})

_HEADING = re.compile(r"^ {0,3}#[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r"^ {0,3}=+[ \t]*$")
_NOT_A_TITLE = re.compile(r"^\s*(?:[#>|\-*+`~$<!\[]|\d{1,3}[.)、]\s|https?://)|[。；，,;：:]\s*$")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_TITLE = 80
_REASONS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was taken for a note and not read: its path, as a note's would be, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What was read and what was not, both in the order of the walk."""

    notes: tuple[Note, ...]
    skipped: tuple[SkippedFile, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A file of the walk; ``reason`` says why it must not be read."""

    file: Path
    name: str
    reason: str = ""


def read_notes(paths: Sequence[Path], config: ReaderConfig) -> ReadResult:
    """Read every note under the given folders and files, each once, in sorted order within each of ``paths``.

    A note's path is relative to the folder that was given, or the name of the file that was given. Where a later
    folder's notes would take the path of an earlier one's, all of that folder's get its name in front.

    Raises:
        NotesMissing: a path does not exist, or nothing that could be read lies under them.
    """
    for path in paths:
        if not path.exists():
            raise NotesMissing(f"{path} does not exist", hint="Name a folder of notes, or note files.")
    notes: dict[str, Note] = {}
    skipped: list[SkippedFile] = []
    seen: set[str] = set()
    for root in paths:
        read, left_out = _read_root(root, config, seen)
        prefix = _free_prefix(root, {note.path for note in read}, notes)
        notes.update((prefix + note.path, replace(note, path=prefix + note.path)) for note in read)
        skipped += [SkippedFile(prefix + file.path, file.reason) for file in left_out]
    if not notes:
        raise NotesMissing(_nothing_read(paths, skipped), hint=f"Notes are {', '.join(sorted(NOTE_SUFFIXES))} files.")
    return ReadResult(tuple(notes.values()), tuple(skipped))


def _read_root(root: Path, config: ReaderConfig, seen: set[str]) -> tuple[list[Note], list[SkippedFile]]:
    notes: list[Note] = []
    skipped: list[SkippedFile] = []
    for found in _walk(root, config) if root.is_dir() else [_named_file(root)]:
        real = os.path.realpath(found.file)
        if real in seen:
            continue
        if found.reason:
            skipped.append(SkippedFile(_printable(found.name), found.reason))
            continue
        try:
            notes.append(read_note(found.file, found.name, config))
            seen.add(real)
        except NoteRejected as rejection:
            skipped.append(SkippedFile(_printable(found.name), rejection.message))
    return notes, skipped


def read_note(file: Path, name: str, config: ReaderConfig) -> Note:
    """Read one file as the note ``name``.

    Raises:
        NoteRejected: it is no regular file, too large, unreadable, binary, empty or of an unknown encoding.
    """
    data = _bytes(file, config.max_bytes)
    text = decode(data, max_control_share=config.max_control_share)
    if not text.strip("\ufeff\u200b \t\n\u00a0\u3000"):
        raise NoteRejected("empty", hint="Write something into it or delete it.")
    page = file.suffix.lower() in _PAGE_SUFFIXES
    front_matter = FrontMatter() if page else read_front_matter(text)
    title = page_title(text) if page else front_matter.title or _title(text.split("\n"), front_matter.lines)
    return Note(
        path=name,
        text=text,
        sha256=hashlib.sha256(data).hexdigest(),
        title=title or file.stem,
        tags=front_matter.tags,
        date=front_matter.date,
        metadata=front_matter.metadata,
    )


def _bytes(file: Path, max_bytes: int) -> bytes:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise NoteRejected("not a regular file", hint="Only files can be notes.")
        if status.st_size > max_bytes:
            raise NoteRejected(
                f"{status.st_size} bytes, more than the limit of {max_bytes}",
                hint="Split it, or raise reader.max_bytes.",
            )
        with file.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise NoteRejected(f"cannot be read: {error.strerror or error}", hint="Check the file's permissions.") from None
    if len(data) > max_bytes:
        raise NoteRejected(f"grew beyond the limit of {max_bytes} bytes", hint="Split it, or raise reader.max_bytes.")
    return data


def _named_file(file: Path) -> _Found:
    if file.suffix.lower() not in NOTE_SUFFIXES:
        return _Found(file, file.name, f"not a note (a note is {', '.join(sorted(NOTE_SUFFIXES))})")
    return _Found(file, file.name)


def _walk(root: Path, config: ReaderConfig) -> Iterator[_Found]:
    """Find the notes of a folder in sorted order; hidden names are left out, links in circles or outwards reported."""
    yield from _walk_folder(root, root, (os.path.realpath(root),), config)


def _walk_folder(folder: Path, root: Path, above: tuple[str, ...], config: ReaderConfig) -> Iterator[_Found]:
    name = folder.relative_to(root).as_posix()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield _Found(folder, name, f"folder cannot be read: {error.strerror or error}")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = Path(entry.path)
        found = _Found(path, path.relative_to(root).as_posix())
        is_note = path.suffix.lower() in NOTE_SUFFIXES
        reason = _link_reason(path, above, config) if entry.is_symlink() else ""
        if reason:
            if is_note or path.is_dir():
                yield replace(found, reason=reason)
        elif entry.is_dir(follow_symlinks=True):
            yield from _walk_folder(path, root, (*above, os.path.realpath(path)), config)
        elif is_note:
            yield replace(found, reason="" if _is_printable(found.name) else "its name is not printable text")


def _link_reason(path: Path, above: tuple[str, ...], config: ReaderConfig) -> str:
    """Why a symbolic link is not followed, or nothing."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "a symbolic link that leads nowhere or in a circle"
    if not target.is_relative_to(above[0]):
        return "a symbolic link out of the folder"
    if str(target) in above:
        return "a symbolic link in a circle"
    if not config.follow_symlinks:
        return "a symbolic link (reader.follow_symlinks is off)"
    return ""


def _free_prefix(root: Path, new: set[str], taken: dict[str, Note]) -> str:
    """Find what to put before the paths of a root's notes so that none is taken: nothing, or the folder's name."""
    folder = root.resolve().name if root.is_dir() else root.resolve().parent.name
    prefixes = ["", *(f"{folder or 'notes'}{number}/" for number in ["", *(f"-{count}" for count in range(2, 10_000))])]
    return next(prefix for prefix in prefixes if not any(prefix + name in taken for name in new))


def _title(lines: Sequence[str], skip: int) -> str:
    """Return the first level-1 heading, else a short first line standing alone, as on scraped pages; may be empty."""
    code = code_lines(lines)
    for number in range(skip, len(lines)):
        heading = _HEADING.match(lines[number]) if number not in code else None
        if heading:
            return _plain(heading["title"])
        if _UNDERLINE.match(lines[number]) and number > skip and lines[number - 1].strip() and number not in code:
            return _plain(lines[number - 1])
    first = next((number for number in range(skip, len(lines)) if lines[number].strip()), None)
    if first is None or (first + 1 < len(lines) and lines[first + 1].strip()):
        return ""
    text = lines[first].strip()
    return "" if len(text) > _LONGEST_TITLE or _NOT_A_TITLE.search(text) else _plain(text)


def _plain(title: str) -> str:
    text = drop_highlights(drop_links(title))
    return SITE_SUFFIX.sub("", " ".join(re.sub(r"\*{1,3}|`|~~", "", text).split()))


def _is_printable(name: str) -> bool:
    return not _UNPRINTABLE.search(name)


def _printable(name: str) -> str:
    return name if _is_printable(name) else ascii(name)[1:-1]


def _nothing_read(paths: Sequence[Path], skipped: Sequence[SkippedFile]) -> str:
    message = f"nothing to read under {', '.join(map(str, paths))}"
    reasons = "; ".join(f"{file.path}: {file.reason}" for file in skipped[:_REASONS_SHOWN])
    more = len(skipped) - _REASONS_SHOWN
    return f"{message} ({reasons}{f'; and {more} more' if more > 0 else ''})" if reasons else message
