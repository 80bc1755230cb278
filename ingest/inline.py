"""The text of one Markdown block: without emphasis marks, addresses, images and HTML tags, with code and formulas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

from markdown_it.token import Token

# Tags that browsers know. Others (`<bos>`, `<pad>`, `List<int>`) are words of the text; `<s>` is a token name here.
_HTML_NAME = re.compile(
    "a|abbr|address|article|aside|audio|b|big|blockquote|body|br|button|caption|center|cite|code|col|colgroup|dd|"
    "del|details|dfn|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|h1|h2|h3|h4|h5|h6|head|header|"
    "hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|mark|meta|nav|object|ol|option|p|pre|q|ruby|rp|rt|"
    "samp|script|section|select|small|source|span|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|"
    "thead|time|title|tr|tt|u|ul|var|video|wbr"
)
_TAG_NAME = re.compile(r"</?\s*([A-Za-z][A-Za-z0-9-]*)")
_EMBED = re.compile(r"!\[\[[^\]\n]*\]\]")
_WIKI_LINK = re.compile(r"\[\[([^\]\n|]*)(?:\|([^\]\n]*))?\]\]")
_HIGHLIGHT = re.compile(r"==(?=[^\s=])(.+?)(?<=[^\s=])==", re.DOTALL)
_STRAY_STARS = re.compile(r"(?<![A-Za-z0-9_)\]*])\*{2,3}(?!\*)|(?<!\*)\*{2,3}(?![A-Za-z0-9_(\[*])")
_BULLET_DEBRIS = re.compile(r"^(?:[•●▪◦❖➢►]\s*)+")
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s，。；、）)】》”]+")
_LIST_NUMBER = re.compile(r"[(（]?\d{1,3}[)）.、．]?")
_POINTER_WORDS = re.compile(
    r"(?:原文|详细|更多|细节|具体)?(?:可|请)?(?:以)?(?:参考|参见|参阅|详见|请见|看|见|链接|来源|出处)(?:链接|资料|文章|原文|这里|此处)?"
    r"|see|here|link|source|reference[s]?|ref",
    re.IGNORECASE,
)
_CROSS_REFERENCE = re.compile(r"(?:[请详参可]|可以)?(?:见|看|参考|参阅)\s*[「《“\[][^」》”\]]+[」》”\]][。.]?")


class InlineText:
    """Inline tokens as ``lines`` of clean text, and what was bold or a link in them.

    ``plain`` is the lines joined; ``strong`` the bold text that they start with; ``points_elsewhere`` is true
    where there is nothing but links, embeds or images.
    """

    def __init__(self, children: Sequence[Token]) -> None:
        self._verbatim: list[str] = []
        self._parts: list[str] = []
        self._outside_links: list[str] = []
        self._linked = False
        self._strong_parts: list[str] = []
        self._strong_depth = self._link_depth = self._deleted_depth = 0
        self._strong_open = True
        for child in children:
            self._take(child)
        joined = "".join(self._parts)
        self.lines = self._clean(joined).split("\n")
        self.strong = self._clean("".join(self._strong_parts)).strip()
        self.plain = "\n".join(self.lines)
        self.points_elsewhere = self._only_points(_EMBED.search(joined) is not None)

    def _take(self, token: Token) -> None:
        if token.type in {"strong_open", "strong_close"}:
            self._strong_depth += 1 if token.type == "strong_open" else -1
            # Bold is the block's opening only if nothing but a number stood before it: `1.**名称**：…`.
            self._strong_open = self._strong_open and not (token.type == "strong_close" and self._strong_depth == 0)
        elif token.type in {"s_open", "s_close"}:
            self._deleted_depth += 1 if token.type == "s_open" else -1
        elif token.type in {"link_open", "link_close"}:
            self._linked = True
            self._link_depth += 1 if token.type == "link_open" else -1
        elif token.type == "image":
            self._linked = True
        elif not self._deleted_depth:
            self._append(self._rendered(token))

    def _append(self, text: str) -> None:
        self._parts.append(text)
        if not self._link_depth:
            self._outside_links.append(text)
        if self._strong_open and self._strong_depth:
            self._strong_parts.append(text)
        elif text.strip() and not _LIST_NUMBER.fullmatch(text.strip()):
            self._strong_open = self._strong_open and bool(self._strong_depth)

    def _rendered(self, token: Token) -> str:
        if token.type in {"softbreak", "hardbreak"}:
            return "\n"
        if token.type == "code_inline":
            return self._keep(f"{token.markup}{token.content}{token.markup}")
        if token.type in {"math_inline", "math_inline_double"}:
            return self._keep(f"{token.markup}{token.content}{token.markup}")
        if token.type == "html_inline":
            return self._html_tag(token.content)
        return token.content if token.type == "text" else ""

    def _html_tag(self, tag: str) -> str:
        match = _TAG_NAME.match(tag)
        if match is None:
            return ""
        name = match.group(1).lower()
        if name == "br":
            return " "
        return "" if _HTML_NAME.fullmatch(name) else self._keep(tag)

    def _keep(self, text: str) -> str:
        """Let a private-use character stand for code and formulas while marks are taken out around them."""
        self._verbatim.append(text)
        return chr(0xF0000 + len(self._verbatim) - 1)

    def _clean(self, text: str) -> str:
        text = _EMBED.sub("", text)
        text = _WIKI_LINK.sub(lambda link: (link.group(2) or link.group(1)).lstrip("#"), text)
        text = _STRAY_STARS.sub("", _HIGHLIGHT.sub(r"\1", text))
        text = "\n".join(_BULLET_DEBRIS.sub("", line.strip()) for line in text.split("\n"))
        return re.sub("[\U000f0000-\U000ffffd]", self._restored, text)

    def _restored(self, match: re.Match[str]) -> str:
        index = ord(match.group()) - 0xF0000
        return self._verbatim[index] if index < len(self._verbatim) else match.group()

    def _only_points(self, embedded: bool) -> bool:
        outside = "".join(self._outside_links)
        if _CROSS_REFERENCE.fullmatch(outside.strip()):
            return True
        bare = _ADDRESS.sub("", _WIKI_LINK.sub("", _EMBED.sub("", outside)))
        points = self._linked or embedded or bare != outside
        return points and not any(character.isalnum() for character in _POINTER_WORDS.sub("", bare))


class _VisibleText(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._hidden += tag in {"script", "style"}
        if not _HTML_NAME.fullmatch(tag):
            self.text.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style"} and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def html_text(source: str) -> str:
    """Read the text of an HTML block with its line breaks, without tags, comments, scripts and styles."""
    reader = _VisibleText()
    reader.feed(source)
    reader.close()
    return "".join(reader.text)
