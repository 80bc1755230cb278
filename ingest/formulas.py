"""Formulas that a scraped page says three times: as plain text, as LaTeX, and as plain text again.

KaTeX and MathJax put MathML text, its LaTeX annotation and the drawn glyphs side by side in the page; copied as text
they read `xkx_kxk` for $x_k$. They are found by structure: a run A B C in which the letters of B, read as LaTeX, are
those of A, and C has the same letters (in another order where a fraction or a sum is drawn). Formulas that have lost a
part do not fit this and are left as they are.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.characters import CJK_PUNCTUATION, HAN

_RUN = re.compile(f"[^{HAN}{CJK_PUNCTUATION}\U000f0000-\U000ffffd]{{3,}}")
_LONGEST_RUN = 3000  # beyond, no formula is looked for: the search is quadratic
_LATEX_SIGN = re.compile(r"[\\_^{}]")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_ENVIRONMENT = re.compile(r"\\(?:begin\s*\{[a-z]+\*?\}(?:\s*\{[lcr|\s]+\})?|end\s*\{[a-z]+\*?\}|(?:left|right)\.)")

_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi"
    " omega varepsilon varphi vartheta varrho varsigma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_GREEK = dict(zip(_GREEK_NAMES.split(), "αβγδϵζηθικλμνξπρστυϕχψωεφϑϱςΓΔΘΛΞΠΣΥΦΨΩ", strict=True))
_SYMBOLS = {
    "times": "×", "cdot": "·", "div": "÷", "pm": "±", "mp": "∓", "ast": "*", "star": "⋆", "circ": "∘", "bullet": "∙",
    "oplus": "⊕", "otimes": "⊗", "odot": "⊙", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠",
    "approx": "≈", "equiv": "≡", "sim": "∼", "propto": "∝", "in": "∈", "notin": "∉", "subset": "⊂", "subseteq": "⊆",
    "cup": "∪", "cap": "∩", "infty": "∞", "partial": "∂", "nabla": "∇", "sum": "∑", "prod": "∏", "int": "∫",
    "forall": "∀", "exists": "∃", "to": "→", "rightarrow": "→", "leftarrow": "←", "gets": "←", "Rightarrow": "⇒",
    "Leftarrow": "⇐", "leftrightarrow": "↔", "mapsto": "↦", "ldots": "…", "cdots": "⋯", "dots": "…", "vdots": "⋮",
    "mid": "∣", "vert": "∣", "lvert": "∣", "rvert": "∣", "Vert": "∥", "lVert": "∥", "rVert": "∥", "parallel": "∥",
    "langle": "⟨", "rangle": "⟩", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "ell": "ℓ", "prime": "'",
    "top": "⊤", "bot": "⊥", "perp": "⊥", "emptyset": "∅", "land": "∧", "lor": "∨", "neg": "¬", "ll": "≪", "gg": "≫",
    "simeq": "≃", "cong": "≅", "triangleq": "≜", "dagger": "†", "hbar": "ℏ", "Re": "ℜ", "Im": "ℑ", "colon": ":",
}  # fmt: skip
_FUNCTIONS = (
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp max min sup inf lim det dim ker deg arg"
    " gcd Pr argmax argmin"
)
_SILENT = (
    "left right big Big bigg Bigg bigl bigr Bigl Bigr frac dfrac tfrac binom sqrt hat widehat bar overline tilde dot"
    " vec widetilde ddot underline mathbf mathrm mathcal mathbb mathit mathsf mathfrak mathscr boldsymbol bm text"
    " textbf textit textrm operatorname limits nolimits displaystyle textstyle quad qquad rm bf it cal begin end"
    " label tag nonumber underbrace overbrace overset underset stackrel mathop pmb boldmath hline"
)
_COMMANDS = {**_GREEK, **_SYMBOLS, **{name: name for name in _FUNCTIONS.split()}, **dict.fromkeys(_SILENT.split(), "")}
_LONGEST_COMMAND = max(map(len, _COMMANDS))

# Different code points that pages use for one sign, and accents, which are drawn but are no letters.
_SAME = str.maketrans(
    {"−": "-", "∗": "*", "⋅": "·", "′": "'", "∥": "|", "∣": "|", "⋯": "…", "ε": "ϵ", "φ": "ϕ", "∼": "~"}
)
_UNHEARD = frozenset(" \t{}_^\\&$~ˉˆ˜˙¨⃗ˊˋ√")


@dataclass(frozen=True, slots=True)
class _Letter:
    """A letter or sign that a reader hears, and where it stands in the run."""

    sign: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Triple:
    start: int
    end: int
    latex: str


def single_formulas(line: str, *, trust_plain: bool = False) -> str:
    """Keep of every formula said three times its LaTeX, as ``$…$``.

    ``trust_plain`` also takes formulas whose LaTeX is their plain text (`kkk` for $k$): sound only in a note that
    has been seen to say formulas three times, see `has_tripled_formula`.
    """
    return _RUN.sub(lambda match: _single_in_run(match, line, trust_plain), line)


def has_tripled_formula(line: str) -> bool:
    """Whether some formula of the line stands there three times, with LaTeX signs to prove it."""
    return any(_LATEX_SIGN.search(run) and _triples(run) for run in _RUN.findall(line) if len(run) <= _LONGEST_RUN)


def _single_in_run(match: re.Match[str], line: str, trust_plain: bool) -> str:
    run = match.group()
    if len(run) > _LONGEST_RUN:
        return run
    triples = _triples(run) if _LATEX_SIGN.search(run) else []
    if trust_plain:
        before, behind = line[match.start() - 1 : match.start()], line[match.end() : match.end() + 1]
        triples = _with_plain(run, triples, f"{before} {behind}".strip() != "")
    result, position = [], 0
    for triple in triples:
        space = " " if run[triple.end : triple.end + 1].isdigit() else ""
        result += [run[position : triple.start], f"${triple.latex}${space}"]
        position = triple.end
    return "".join([*result, run[position:]])


def _with_plain(run: str, triples: list[_Triple], beside_prose: bool) -> list[_Triple]:
    """Add the plain triples between those found."""
    if not beside_prose and not triples:
        return triples
    found, position = [], 0
    for triple in [*triples, _Triple(len(run), len(run), "")]:
        for part in re.finditer(r"[^\s,;:.，；]+(?:,[^\s,;:.，；]+)*?(?=[\s,;:.]|$)", run[position : triple.start]):
            text, start = part.group(), position + part.start()
            third, rest = divmod(len(text), 3)
            if not rest and text == text[:third] * 3 and _may_be_formula(text[:third]):
                found.append(_Triple(start, start + len(text), text[:third]))
        position = triple.end
    return sorted([*triples, *found], key=lambda triple: triple.start)


def _may_be_formula(text: str) -> bool:
    if text == "w" or (text.isdigit() and len(text) == 1):
        return False
    return any(character.isalnum() for character in text) and not re.search(r"[\\*`#|!?\"']", text)


def _triples(run: str) -> list[_Triple]:
    """Find the formulas said three times in a run, left to right, without overlaps; the longest where several begin."""
    letters = _letters(run)
    found: list[_Triple] = []
    position = 0
    for start, length in _candidates(run, letters):
        if letters[start].start < position:
            continue
        triple = _triple(run, letters, start, length)
        if triple is not None:
            found.append(triple)
            position = triple.end
    return found


def _candidates(run: str, letters: list[_Letter]) -> list[tuple[int, int]]:
    """Every (start, length) where ``length`` letters are said twice, the second time alone with LaTeX signs."""
    codes = np.array([ord(letter.sign) for letter in letters], dtype=np.int32)
    marked = np.concatenate(([0], np.cumsum([bool(_LATEX_SIGN.match(character)) for character in run])))
    before = marked[[letter.start for letter in letters]]  # LaTeX signs up to where a letter starts, and ends
    behind = marked[[letter.end for letter in letters]]
    candidates: list[tuple[int, int]] = []
    for length in range(1, len(codes) // 3 + 1):
        starts = _repeated(codes, length)
        alone = behind[starts + length - 1] == before[starts]
        signs = before[starts + 2 * length] > behind[starts + length - 1]
        plain = behind[starts + 3 * length - 1] == before[starts + 2 * length]
        candidates += [(start, length) for start in starts[alone & signs & plain].tolist()]
    return sorted(candidates, key=lambda candidate: (candidate[0], -candidate[1]))


def _repeated(codes: npt.NDArray[np.int32], length: int) -> npt.NDArray[np.intp]:
    """Return the starts at which ``length`` codes are repeated at once, and as many follow."""
    same = np.concatenate(([0], np.cumsum(codes[:-length] == codes[length:])))
    starts = np.arange(len(codes) - 3 * length + 1)
    repeated: npt.NDArray[np.intp] = starts[same[starts + length] - same[starts] == length]
    return repeated


def _triple(run: str, letters: list[_Letter], start: int, length: int) -> _Triple | None:
    first, middle, last = (letters[start + length * part : start + length * (part + 1)] for part in range(3))
    if sorted(letter.sign for letter in last) != sorted(letter.sign for letter in middle):
        return None
    begin, end = first[-1].end, last[0].start
    latex = run[begin:end]
    opening = first[0].start
    if latex.endswith("{") and not latex.endswith("\\{"):  # a brace that is drawn belongs to the plain copies
        latex = latex[:-1]
        opening -= run[:opening].endswith("{")
    latex = latex.strip()
    if not latex or latex[-1] in "_^\\" or latex[0] in "_^}":
        return None
    return _Triple(opening, last[-1].end, latex)


def _letters(run: str) -> list[_Letter]:
    letters: list[_Letter] = []
    position = 0
    while position < len(run):
        end, heard = _heard(run, position)
        letters += [_Letter(sign, position, end) for sign in heard]
        position = end
    return letters


def _heard(run: str, position: int) -> tuple[int, str]:
    """Where the character or LaTeX command at ``position`` ends, and the signs a reader hears."""
    environment = _ENVIRONMENT.match(run, position)
    if environment:
        return environment.end(), ""
    command = _COMMAND.match(run, position)
    if command:
        name = command[1]
        for length in range(min(len(name), _LONGEST_COMMAND), 0, -1):
            if name[:length] in _COMMANDS:
                return position + 1 + length, _plain(_COMMANDS[name[:length]])
    return position + 1, _plain(run[position])


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).translate(_SAME)
    return "".join(sign for sign in folded if sign not in _UNHEARD and not unicodedata.combining(sign))
