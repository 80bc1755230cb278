"""Web pages to Markdown text with the line of the page's source for every line of it.

trafilatura finds the page's main text. Code and formulas are taken out before it and put back after it, because it
neither keeps a code block's blank lines nor knows that a page draws one formula three ways.

Lines are aligned by their letters: the source's visible letters and digits are one long string, each with its line. An
output line of which a long piece occurs there exactly once is an anchor (those that would cross are left out by the
longest increasing subsequence); every other line is looked for between its neighbouring anchors, nearest to the one
that follows, because menus and tables of contents repeat headings before the text and not after it.
"""

from __future__ import annotations

import configparser
import copy
import functools
import re
from bisect import bisect_left
from html.parser import HTMLParser

import lxml.etree
import lxml.html
import trafilatura
import trafilatura.settings

from ingest.pointers import SITE_SUFFIX

_ANCHOR_LETTERS = 16
_SHORT_PAGE = 250
_MARK = "asknoteskept{}x"
_MARK_PATTERN = re.compile(r"asknoteskept(\d+)x")
_LANGUAGE = re.compile(r"(?:^|\s)(?:language-|lang-|brush:\s*|hljs\s+)([A-Za-z0-9+#]{1,16})")
_DRAWN = "//math | //*[contains(concat(' ', @class, ' '), ' katex ') or contains(@class, 'katex-display')]"


def html_to_text(source: str) -> tuple[str, tuple[int, ...]]:
    """Return a page's main text as Markdown, and for each of its lines the line (1-based) of ``source`` it came from.

    Tables, code and formulas (as ``$…$``) are kept, comments are not. A page without any text gives one empty line.
    """
    tree = _parse(source)
    if tree is None:
        return "", (1,)
    kept = _set_aside(tree)
    extracted = _extract(tree)
    lines = [piece for line in extracted.split("\n") for piece in _put_back(line, kept)]
    return "\n".join(lines), _align(lines, source)


def page_title(source: str) -> str | None:
    """Return the page's own title: its only level-1 heading, else its `<title>` without the name of the site."""
    tree = _parse(source)
    if tree is None:
        return None
    headings = [" ".join(heading.text_content().split()) for heading in tree.iter("h1")]
    if len(headings) == 1 and headings[0]:
        return headings[0]
    title = " ".join(" ".join(tree.xpath("//title//text()")).split())
    return SITE_SUFFIX.sub("", title) or None


def _parse(source: str) -> lxml.html.HtmlElement | None:
    declaration = re.sub(r"^\s*<\?xml[^>]*\?>", "", source)
    try:
        tree = lxml.html.document_fromstring(declaration.replace("\x00", ""))
    except (lxml.etree.ParserError, ValueError):
        return None
    return tree


def _set_aside(tree: lxml.html.HtmlElement) -> list[list[str]]:
    """Replace formulas and code in the tree by marks; returns what each mark stands for, as lines."""
    kept: list[list[str]] = []
    for element, latex in _formulas(tree):
        if element.getparent() is not None and latex.strip():
            block = element.get("display") == "block" or "display" in (element.get("class") or "")
            dollars = "$$" if block else "$"
            _replace(element, kept, [f"{dollars}{' '.join(latex.split())}{dollars}"], inline=True)
    for element in list(tree.iter("pre")):
        if element.getparent() is not None and any(ancestor.tag == "pre" for ancestor in element.iterancestors()):
            continue
        code = _code_text(element, kept).strip("\n").split("\n")
        if any(line.strip() for line in code):
            ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", "\n".join(code))), default=0))
            _replace(
                element, kept, [f"{ticks}{_language(element)}", *(line.rstrip() for line in code), ticks], inline=False
            )
    for element in list(tree.iter("code")):
        if element.getparent() is not None and element.text_content().strip():
            _replace(element, kept, [f"`{' '.join(_unmarked(element.text_content(), kept).split())}`"], inline=True)
    return kept


def _formulas(tree: lxml.html.HtmlElement) -> list[tuple[lxml.html.HtmlElement, str]]:
    """Elements that draw a formula, outermost first, with its LaTeX: KaTeX, MathJax, MathML, Zhihu, Wikipedia."""
    found: list[tuple[lxml.html.HtmlElement, str]] = []
    for element in tree.xpath(_DRAWN):
        annotation = element.xpath(".//annotation[contains(@encoding, 'tex')]")
        latex = annotation[0].text_content() if annotation else element.get("alttext", "")
        found.append((element, latex))
    for script in tree.xpath("//script[starts-with(@type, 'math/tex')]"):
        for drawn in script.xpath("preceding-sibling::*[position() <= 2][contains(@class, 'MathJax')]"):
            _remove(drawn)
        if "mode=display" in script.get("type", ""):
            script.set("display", "block")
        found.append((script, script.text or ""))
    found += [(element, element.get("data-tex")) for element in tree.xpath("//*[@data-tex]")]
    for image in tree.xpath("//img[@alt][@eeimg or @data-formula or contains(@class, 'math')]"):
        found.append((image, re.sub(r"^\{\\displaystyle (.*)\}$", r"\1", image.get("alt"))))
    return found


def _replace(element: lxml.html.HtmlElement, kept: list[list[str]], lines: list[str], *, inline: bool) -> None:
    parent = element.getparent()
    if parent is None:
        return
    mark = _MARK.format(len(kept))
    kept.append(lines)
    standing = lxml.html.Element("span" if inline else "p")
    standing.text, standing.tail = (f" {mark} ", element.tail) if not inline else (mark, element.tail)
    parent.replace(element, standing)
    if inline:
        standing.drop_tag()


def _remove(element: lxml.html.HtmlElement) -> None:
    if element.getparent() is not None:
        element.drop_tree()


def _code_text(element: lxml.html.HtmlElement, kept: list[list[str]]) -> str:
    """Return the text of a code block: breaks and list items are lines, line numbers and buttons are not code."""
    for part in list(element.iter()):
        names = (part.get("class") or "") if isinstance(part.tag, str) else ""
        if part is not element and re.search(r"number|lineno|gutter|button|copy", names):
            _remove(part)
    for part in list(element.iter("br", "li", "div")):
        part.tail = "\n" + (part.tail or "") if not (part.tail or "").startswith("\n") else part.tail
    return _unmarked(element.text_content(), kept)


def _unmarked(text: str, kept: list[list[str]]) -> str:
    return _MARK_PATTERN.sub(lambda match: "\n".join(kept[int(match[1])]), text)


def _language(element: lxml.html.HtmlElement) -> str:
    names = " ".join((part.get("class") or "") for part in element.iter() if part.tag in ("pre", "code"))
    match = _LANGUAGE.search(names)
    return match[1] if match else ""


def _extract(tree: lxml.html.HtmlElement) -> str:
    """Return the main text; of a page too short to tell it from the rest, all that is not navigation."""
    text = _main_text(tree)
    if len(text) < _SHORT_PAGE:
        text = max(text, _main_text(_as_article(tree)), key=len)
    return text or _all_text(tree)


def _main_text(tree: lxml.html.HtmlElement) -> str:
    text = trafilatura.extract(
        lxml.html.fromstring(lxml.html.tostring(tree, encoding="unicode")),  # a copy: extraction takes it apart
        output_format="markdown",
        include_comments=False,
        include_tables=True,
        include_formatting=True,
        include_images=False,
        include_links=False,
        config=_any_length(),
    )
    return str(text or "").replace("\\_", "_")


@functools.cache
def _any_length() -> configparser.ConfigParser:
    """Return trafilatura's settings without its least length (250), under which it gives up a page's structure."""
    settings: configparser.ConfigParser = trafilatura.settings.use_config()
    settings["DEFAULT"]["MIN_EXTRACTED_SIZE"] = "1"
    return settings


def _as_article(tree: lxml.html.HtmlElement) -> lxml.html.HtmlElement:
    whole = lxml.html.Element("html")
    article = lxml.etree.SubElement(lxml.etree.SubElement(whole, "body"), "article")
    body = copy.deepcopy(tree if tree.tag == "body" else tree.find("body"))
    if body is None:
        return whole
    for part in list(body.iter("script", "style", "noscript", "template", "nav", "header", "footer", "aside", "form")):
        _remove(part)
    article.text = body.text
    article.extend(list(body))
    return whole


def _all_text(tree: lxml.html.HtmlElement) -> str:
    article = _as_article(tree)
    return "\n\n".join(" ".join(line.split()) for line in article.text_content().split("\n") if line.strip())


def _put_back(line: str, kept: list[list[str]]) -> list[str]:
    alone = _MARK_PATTERN.fullmatch(line.strip())
    if alone and int(alone[1]) < len(kept):
        indent = line[: len(line) - len(line.lstrip())]
        return [f"{indent}{piece}" for piece in kept[int(alone[1])]]
    return [_MARK_PATTERN.sub(lambda match: " ".join(kept[int(match[1])]) if int(match[1]) < len(kept) else "", line)]


class _Letters(HTMLParser):
    """The visible letters and digits of a page's source, and the line of each."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.letters: list[str] = []
        self.line_of: list[int] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style") and not str(dict(attrs).get("type")).startswith("math/tex"):
            self._silent += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._silent = 0

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        first = self.getpos()[0]
        for offset, piece in enumerate(data.split("\n")):
            heard = _letters_of(piece)
            self.letters.append(heard)
            self.line_of.extend([first + offset] * len(heard))


def _letters_of(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _align(lines: list[str], source: str) -> tuple[int, ...]:
    page = _Letters()
    page.feed(source)
    page.close()
    stream = "".join(page.letters)
    heard = [_letters_of(line) for line in lines]
    places = _anchors(heard, stream)
    bound = len(stream)
    following = sorted(places, reverse=True)
    for number in range(len(lines) - 1, -1, -1):
        if number in places:
            bound = places[number]
            following.pop(0)
        elif heard[number]:
            floor = places[following[0]] + len(heard[following[0]][:_ANCHOR_LETTERS]) if following else 0
            place = stream.rfind(heard[number][:_ANCHOR_LETTERS], floor, bound)
            if place >= 0:
                places[number] = bound = place
    return _fill(len(lines), {number: page.line_of[place] for number, place in places.items()})


def _anchors(heard: list[str], stream: str) -> dict[int, int]:
    """Output line -> place in the stream, for the lines with a piece that occurs there once; places increase."""
    found: list[tuple[int, int]] = []
    for number, letters in enumerate(heard):
        for offset in range(0, min(len(letters) - _ANCHOR_LETTERS + 1, 10 * _ANCHOR_LETTERS), _ANCHOR_LETTERS // 2):
            piece = letters[offset : offset + _ANCHOR_LETTERS]
            place = stream.find(piece)
            if place >= 0 and stream.find(piece, place + 1) < 0:
                found.append((number, place))
                break
    return dict(found[index] for index in _longest_increasing([place for _, place in found]))


def _longest_increasing(values: list[int]) -> list[int]:
    """Return the indices of a longest strictly increasing subsequence (patience sorting)."""
    tails: list[int] = []
    tail_indices: list[int] = []
    before: list[int] = []
    for index, value in enumerate(values):
        pile = bisect_left(tails, value)
        before.append(tail_indices[pile - 1] if pile else -1)
        if pile == len(tails):
            tails.append(value)
            tail_indices.append(index)
        else:
            tails[pile], tail_indices[pile] = value, index
    chain: list[int] = []
    index = tail_indices[-1] if tail_indices else -1
    while index >= 0:
        chain.append(index)
        index = before[index]
    return chain[::-1]


def _fill(count: int, known: dict[int, int]) -> tuple[int, ...]:
    """Give every output line a source line, never falling: one not found takes that of the line before it."""
    current = min(known.values(), default=1)
    filled: list[int] = []
    for number in range(count):
        current = max(current, known.get(number, current))
        filled.append(current)
    return tuple(filled)
