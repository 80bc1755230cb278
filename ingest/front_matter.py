"""YAML front matter of Markdown notes (Hexo, Obsidian, Jekyll): where it ends and what it says."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

_FENCE = re.compile(r"^---[ \t]*$")
_CLOSE = re.compile(r"^(?:---|\.\.\.)[ \t]*$")
_KEY_LINE = re.compile(r"^(?:\s+\S.*|[\w\u4e00-\u9fff][\w\u4e00-\u9fff ./-]*:(?:\s.*)?|\s*-(?:\s.*)?|\s*#.*)$")
_DATE = re.compile(r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T ]+(\d{1,2}:\d{2}(?::\d{2})?))?")
_INVISIBLE = str.maketrans("", "", "\ufeff\u200b\u200c\u200d\u2060")
_MOST_LINES = 400
_MOST_CHARACTERS = 65_536
_MOST_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What a note says of itself. ``lines`` is how many lines of the file it takes, 0 where there is none.

    ``metadata`` can be written as JSON; a front matter that cannot be read is in it as ``front_matter_error``.
    """

    lines: int = 0
    title: str | None = None
    tags: tuple[str, ...] = ()
    date: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


def read_front_matter(text: str) -> FrontMatter:
    """Read the front matter at the top of a note; it never fails."""
    lines = text.split("\n", _MOST_LINES + 2)
    count = front_matter_lines(lines)
    if not count:
        return FrontMatter()
    try:
        values = _load("\n".join(lines[1 : count - 1]))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return FrontMatter(lines=count, metadata={"front_matter_error": reason})
    return FrontMatter(
        lines=count,
        title=_title(values.pop("title", None)),
        tags=_tags([values.pop("tags", None), values.pop("tag", None)]),
        date=_date(values.get("date")),
        metadata={key: value for key, value in values.items() if key != "date" or _date(value) is None},
    )


def front_matter_lines(lines: Sequence[str]) -> int:
    """How many of the first lines are front matter, its fences included; 0 where there is none.

    What stands between two rules at the top of a note is front matter if it reads as YAML's keys and values, be they
    right or wrong, and prose otherwise.
    """
    if not lines or not _FENCE.match(lines[0].translate(_INVISIBLE)):
        return 0
    for number in range(1, min(len(lines), _MOST_LINES)):
        if _CLOSE.match(lines[number].translate(_INVISIBLE)):
            return number + 1 if _reads_as_yaml(lines[1:number]) else 0
    return 0


def _reads_as_yaml(inner: Sequence[str]) -> bool:
    said = [line for line in inner if line.strip()]
    keys = sum(bool(_KEY_LINE.match(line)) for line in said)
    return not said or (2 * keys > len(said) and any(":" in line for line in said))


def _load(source: str) -> dict[str, object]:
    if len(source) > _MOST_CHARACTERS:
        raise ValueError(f"longer than {_MOST_CHARACTERS} characters")
    loaded = yaml.safe_load(source)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ValueError("not a mapping of keys to values")  # noqa: TRY004 - the note's fault, not the caller's
    budget = [_MOST_VALUES]
    return {_text(key): _as_json(value, budget) for key, value in loaded.items()}


def _text(value: object) -> str:
    r"""Text that can be written as UTF-8: YAML's ``\ud800`` escapes give halves of characters, which cannot."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _as_json(value: object, budget: list[int]) -> object:
    """Values that JSON knows; ``budget`` ends what YAML's aliases would unfold without end."""
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError(f"more than {_MOST_VALUES} values")
    if isinstance(value, Mapping):
        return {_text(key): _as_json(inner, budget) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner, budget) for inner in value]
    if isinstance(value, set):
        return sorted(_text(inner) for inner in value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    is_finite = isinstance(value, float) and value - value == 0
    return value if value is None or isinstance(value, bool | int) or is_finite else _text(value)


def _title(value: object) -> str | None:
    title = " ".join(str(value).split()) if isinstance(value, str | int | float) else ""
    return title or None


def _tags(value: object) -> tuple[str, ...]:
    """Tags from lists however deep (Hexo), comma strings and Obsidian's ``#tag #tag``, once each, in order."""
    if isinstance(value, list):
        return tuple(dict.fromkeys(tag for inner in value for tag in _tags(inner)))
    if value is None or isinstance(value, Mapping):
        return ()
    pieces = re.split(r"[,，、]|\s+(?=#)", str(value))
    return tuple(dict.fromkeys(piece.strip().lstrip("#").strip() for piece in pieces if piece.strip(" #")))


def _date(value: object) -> str | None:
    """Return a date as ISO 8601, or nothing where it is not one."""
    match = _DATE.match(str(value).strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, time = match.groups()
    try:
        date = datetime.date(int(year), int(month), int(day)).isoformat()
        clock = datetime.time.fromisoformat(time.zfill(5) if time.count(":") == 1 else time.zfill(8)) if time else None
    except ValueError:
        return None
    return f"{date}T{clock.isoformat()}" if clock else date
