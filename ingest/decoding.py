"""Bytes of a note to text: byte order marks, UTF-8, UTF-16, GB 18030, Big5. A wrong guess is worse than a refusal."""

from __future__ import annotations

import codecs
import re

import charset_normalizer

from index.errors import NoteRejected

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f]")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_CHINESE_PUNCTUATION = re.compile(r"[，。、；：？！（）《》“”「」]")
_LATIN = re.compile(r"[\x00-\x7f\u00a0-\u017f‘’“”–—…€]*")
# Byte ranges of the everyday characters: GB 2312 level 1 (3,755 characters), Big5 level 1 (5,401 characters).
_EVERYDAY = {"gb18030": ("gb2312", 0xB0, 0xD7), "big5": ("big5", 0xA4, 0xC6)}
_ASCII = bytes(range(0x80))
# Accented letters stand alone among ASCII ones, where the bytes of Chinese characters come in pairs.
_PAIRED = re.compile(rb"[\xa1-\xff][\xa1-\xff]")
_ACCENTED_SHARE = 0.15
_SURE_SHARE = 0.75
_CLEAR_LEAD = 0.15
_SAMPLE = 200_000
_HINT = "Save the file as UTF-8."


def decode(data: bytes, *, max_control_share: float) -> str:
    """Decode a note's bytes; line ends become line feeds.

    Raises:
        NoteRejected: for binary data, text with more than ``max_control_share`` of control or replacement characters,
            and bytes whose encoding cannot be told with confidence.
    """
    text = _decode(data)
    _refuse_binary(text, max_control_share)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _strict(data, encoding)
    if b"\x00" in data:
        return _utf16_without_mark(data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _legacy(data, error)


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NoteRejected(
            f"starts like {encoding} but is not: {error.reason} at byte {error.start}", hint=_HINT
        ) from None


def _utf16_without_mark(data: bytes) -> str:
    """UTF-16 shows its line feeds and spaces as a zero byte always on the same side."""
    sides = [data[0::2].count(0), data[1::2].count(0)]
    encoding = "utf-16-le" if sides[1] > sides[0] else "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise NoteRejected("binary data (zero bytes)", hint="Only text files can be notes.") from None
    readable = len(re.findall(r"[\t\n\r -~]", text)) + len(_HAN.findall(text)) + len(_CHINESE_PUNCTUATION.findall(text))
    if "\x00" in text or readable < 0.9 * len(text):
        raise NoteRejected("binary data (zero bytes)", hint="Only text files can be notes.")
    return text


def _legacy(data: bytes, error: UnicodeDecodeError) -> str:
    """GB 18030 or Big5, whichever reads as everyday Chinese; Windows-1252 where only lone accents are beyond ASCII."""
    shares = {encoding: share for encoding in _EVERYDAY if (share := _everyday_share(data, encoding)) is not None}
    best = max(shares, key=lambda encoding: shares[encoding], default=None)
    if best is not None:
        others = [share for encoding, share in shares.items() if encoding != best]
        if shares[best] >= _SURE_SHARE and all(shares[best] - share >= _CLEAR_LEAD for share in others):
            return data.decode(best)
    guess = charset_normalizer.from_bytes(data[:_SAMPLE]).best()
    name = guess.encoding if guess is not None else ""
    for encoding, kin in (("gb18030", ("gb18030", "gbk", "gb2312")), ("big5", ("big5", "cp950", "big5hkscs"))):
        if name in kin and shares.get(encoding, 0.0) >= _SURE_SHARE:
            return data.decode(encoding)
    if not _PAIRED.search(data) and len(data.translate(None, _ASCII)) <= _ACCENTED_SHARE * len(data):
        text = data.decode("cp1252", errors="replace")
        if _LATIN.fullmatch(text):
            return text
    line = data.count(b"\n", 0, error.start) + 1
    raise NoteRejected(f"its encoding cannot be told (not UTF-8 from byte {error.start}, line {line}, on)", hint=_HINT)


def _everyday_share(data: bytes, encoding: str) -> float | None:
    """Return the share of everyday characters among the Chinese ones; None where the bytes are not of that encoding."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    beyond = [character for character in text[:_SAMPLE] if character > "\x7f"]
    narrow, first, last = _EVERYDAY[encoding]
    everyday = 0
    for character in beyond:
        if _CHINESE_PUNCTUATION.match(character):
            everyday += 1
        elif _HAN.match(character):
            lead = character.encode(narrow, errors="ignore")[:1]
            everyday += bool(lead) and first <= lead[0] <= last
    return everyday / len(beyond) if beyond else None


def _refuse_binary(text: str, max_control_share: float) -> None:
    controls, lost = len(_CONTROL.findall(text)), text.count("\ufffd")
    if "\x00" in text:
        raise NoteRejected("binary data (zero bytes)", hint="Only text files can be notes.")
    if controls > max_control_share * len(text):
        raise NoteRejected(f"binary data ({controls} control characters)", hint="Only text files can be notes.")
    if lost > max_control_share * len(text):
        raise NoteRejected(f"damaged text ({lost} replacement characters)", hint="Restore the file from its source.")
