"""Figures as text, the same on the page and in Markdown: three decimals, thousands apart, sizes in binary units."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

ABSENT = "–"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_SMALLEST_P = 0.001
_SHORT = 10
_MANY = 100


def measure(value: float) -> str:
    """A measure between 0 and 1."""
    return f"{value:.3f}"


def interval(low: float, high: float) -> str:
    """A 95 % interval."""
    return f"{low:.3f}–{high:.3f}"


def signed(value: float) -> str:
    """A difference; what rounds to nothing has no sign."""
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", "−")


def signed_interval(low: float, high: float) -> str:
    """The 95 % interval of a difference."""
    return f"{signed(low)} to {signed(high)}"


def probability(p: float) -> str:
    """A p value; the randomisation test's resamples say no more than that it is below 0.001."""
    return "<0.001" if p < _SMALLEST_P else f"{p:.3f}"


def milliseconds(value: float) -> str:
    """A time in milliseconds, three digits of it or all before the point."""
    if value >= _MANY:
        return whole(value)
    return f"{value:.2f}" if value < _SHORT else f"{value:.1f}"


def seconds(value: float) -> str:
    """A time in seconds."""
    return f"{value:,.2f}" if value < _SHORT else f"{value:,.1f}"


def moment(created: str) -> str:
    """A moment in ISO form, to the minute; anything else as it stands."""
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return created


def whole(value: float) -> str:
    """A count or a rounded number."""
    return f"{value:,.0f}"


def size(count: float) -> str:
    """A number of bytes."""
    value, unit = float(count), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:,.0f} {_UNITS[unit]}" if unit == 0 else f"{value:,.1f} {_UNITS[unit]}"


def setting(value: Any) -> str:
    """A setting's value as it would stand in a file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def settings(values: Mapping[str, Any]) -> str:
    """Settings in one line."""
    return ", ".join(f"{key} = {setting(value)}" for key, value in values.items()) or "as configured"


def last_parts(keys: Sequence[str]) -> dict[str, str]:
    """Map dotted keys to their last part where that tells them apart, else to themselves."""
    short = [key.rpartition(".")[2] for key in keys]
    return {key: name if short.count(name) == 1 else key for key, name in zip(keys, short, strict=True)}


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    if len(names) < 2:  # noqa: PLR2004 - one name needs no "and"
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
