"""Matplotlib figures as inline SVG: text stays text, colours follow the page's theme, equal figures give equal bytes.

What matplotlib writes is not yet fit for a page: it has inline styles (which a strict content security policy refuses),
fixed colours (unreadable on a dark page), ids that are the same in every figure, and metadata. ``inline_svg`` turns
styles into attributes and the theme's colours into classes, which the page's style sheet fills.
"""

from __future__ import annotations

import io
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from lxml import etree
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER, HEAT = "#1b1f24", "#5b6570", "#d5dae0", "#fffffe", "#0b62a8"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#6a3d9a", "#7f7f7f")
"""Okabe and Ito's colours, which people with any colour vision tell apart; the yellow is darkened to show on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""As many markers as there are not colours, so that 56 series differ in one or the other."""

_CLASSES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", HEAT: "heat"} | {
    colour: f"s{number}" for number, colour in enumerate(SERIES)
}
_SETTINGS: dict[Any, Any] = {  # matplotlib types its keys one by one
    "svg.fonttype": "none",
    "svg.hashsalt": "asknotes",
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "hatch.color": MUTED,
}
# The settings above are matplotlib's and the process's own: one figure is drawn at a time.
_drawing = threading.Lock()

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r'(?:url\(|href=")#([^)"]+)')
_DROPPED = (f"{_SVG}metadata", f"{_SVG}style")


@contextmanager
def drawing() -> Iterator[None]:
    """Hold matplotlib's settings as the report's for the time of one figure, whatever the user's own are."""
    with _drawing, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@dataclass(slots=True)
class Labels:
    """Labels that come from data, by what stands for them while matplotlib measures and places text.

    Matplotlib measures with its own font, which has no Chinese and would warn, and reads ``$…$`` as mathematics.
    """

    originals: dict[str, str] = field(default_factory=dict)

    def __call__(self, text: str, *, longest: int = 30) -> str:
        """Return what to draw for a label; a longer one is cut at its end."""
        cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
        if cut.isascii() and cut.isprintable() and not set(cut) & set("$\\"):
            return cut
        shown = "".join(character if character.isprintable() else " " for character in cut)
        stand_in = f"L{len(self.originals)}".ljust(_columns(shown), "n")
        self.originals[stand_in] = shown
        return stand_in


def series_colour(number: int) -> str:
    """The colour of the series of this number, from 0."""
    return SERIES[number % len(SERIES)]


def series_marker(number: int) -> str:
    """The marker of the series of this number, from 0."""
    return MARKERS[number % len(MARKERS)]


def inline_svg(figure: Figure, *, name: str, description: str, labels: Labels) -> str:
    """Return a figure as an ``<svg>`` element to stand in a page; ids in it begin with ``name``.

    To be called within ``drawing``. The element says what it shows to those who do not see it.
    """
    written = io.BytesIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    # The document is our own, a moment old; entities are off all the same.
    root = etree.fromstring(written.getvalue(), etree.XMLParser(resolve_entities=False, no_network=True))
    etree.strip_elements(root, *_DROPPED, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    _rename_ids(root, name)
    for element in root.iter():
        _style_to_attributes(element)
        _restore_text(element, labels)
    _strip_namespaces(root)
    _head(root, description)
    return str(etree.tostring(root, encoding="unicode", with_tail=False))


def _columns(text: str) -> int:
    """Width of a text in Latin letters: Chinese characters take about two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _rename_ids(root: etree._Element, name: str) -> None:
    """Keep only the ids that something refers to, numbered within this figure."""
    referred = set(_REFERENCE.findall(etree.tostring(root, encoding="unicode")))
    names: dict[str, str] = {}
    for element in root.iter():
        identity = element.attrib.pop("id", None)
        if identity in referred:
            names[identity] = f"{name}-{len(names)}"
            element.set("id", names[identity])
    for element in root.iter():
        if _XLINK in element.attrib:
            element.set("href", "#" + names[element.attrib.pop(_XLINK)[1:]])
        for attribute, value in element.attrib.items():
            if value.startswith("url(#"):
                element.set(attribute, f"url(#{names[value[5:-1]]})")


def _style_to_attributes(element: etree._Element) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        key, colon, value = (part.strip() for part in declaration.partition(":"))
        if not colon:
            continue
        if key == "font-family":
            continue  # the page's own
        element.set(key, value)
    classes = [
        prefix + _CLASSES[element.get(attribute, "").lower()]
        for attribute, prefix in (("fill", "f-"), ("stroke", "k-"))
        if element.get(attribute, "").lower() in _CLASSES
    ]
    if classes:
        element.set("class", " ".join(classes))


def _restore_text(element: etree._Element, labels: Labels) -> None:
    for stand_in, original in labels.originals.items():
        if element.text and stand_in in element.text:
            element.text = element.text.replace(stand_in, original)


def _strip_namespaces(root: etree._Element) -> None:
    """HTML knows what an svg element is; without the declarations nothing in the page looks like an address."""
    for element in root.iter():
        element.tag = etree.QName(element).localname
    etree.cleanup_namespaces(root)


def _head(root: etree._Element, description: str) -> None:
    for attribute in ("version", "width", "height"):
        root.attrib.pop(attribute, None)
    width, height = root.get("viewBox", "0 0 1 1").split()[2:]
    root.attrib.update({"width": width, "height": height, "role": "img", "aria-label": description})
