"""Blocks to passages of bounded size: rendering, and cutting where a reader would pause.

Order of preference for a cut: between a lead-in with its list and the next, between list items, between paragraphs,
between sentences, between clauses. Formulas, code blocks and table rows are never cut inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from ingest.config import ChunkerConfig
from ingest.markdown import Block, Line
from ingest.sentences import split_sentences, verbatim_spans

CountTokens = Callable[[str], int]

# What is longer between dollar signs is no formula that anyone could read; characters.
_LARGEST_FORMULA = 8000
_LEAD = re.compile(r"[:：][\s\"'”’」』）)】]*$")
_STOP = re.compile(r"[。！？!?；;.]$")
_CLAUSE = re.compile(r"(?<=[，、,;；：])|(?<=\s)(?=\S)")
_DEFINITION = re.compile(
    r"\s*(?:@|#\s|///|/\*\*|(?:async |public |private |protected |static |export |pub )*"
    r"(?:def|class|function|func|fn|struct|enum|interface|impl|trait|type)\b)"
)
_OPENING = re.compile(
    r"\s*(?:@|(?:async |public |private |protected |static |export |pub )*(?:def|class|function|func|fn)\b)"
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of bounded size and the source lines (1-based, inclusive) that it comes from."""

    text: str
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is not cut any further. ``before`` separates it from its neighbour; ``block`` numbers the cut-up block."""

    text: str
    first: int
    last: int
    before: str = "\n"
    block: int | None = None


def render(blocks: Sequence[Block]) -> str:
    """Write blocks as clean Markdown: list markers and indentation, fences and formulas, nothing else."""
    return _join(_whole_pieces(blocks))


def cut_blocks(blocks: Sequence[Block], config: ChunkerConfig, count_tokens: CountTokens) -> list[Passage]:
    """Passages of about ``target_tokens``, at most ``max_tokens`` but for an uncuttable formula or code block."""
    if not blocks:
        return []
    cutter = _Cutter(bounded(config), count_tokens)
    return cutter.pack(cutter.pieces(blocks))


class _Cutter:
    def __init__(self, config: ChunkerConfig, count_tokens: CountTokens) -> None:
        self._config = config
        self._count = count_tokens
        # Room for a short lead-in beside every piece, so that none has to stand alone.
        self._piece_limit = max(config.max_tokens - config.min_tokens, config.max_tokens // 2)
        self._cut_blocks = 0

    def pieces(self, blocks: Sequence[Block]) -> list[_Piece]:
        """Pieces of at most the piece limit, each as large as its structure allows."""
        found: list[_Piece] = []
        for group in _groups_by_lead(blocks):
            found += self._fitting(group, self._by_item)
        return _separated(found, blocks)

    def _fitting(self, group: Sequence[Block], cut: Callable[[Sequence[Block]], list[_Piece]]) -> list[_Piece]:
        whole = _merged(_whole_pieces(group))
        return [whole] if self._count(whole.text) <= self._piece_limit else cut(group)

    def _by_item(self, blocks: Sequence[Block]) -> list[_Piece]:
        return [piece for group in _groups_by_item(blocks) for piece in self._fitting(group, self._by_block)]

    def _by_block(self, blocks: Sequence[Block]) -> list[_Piece]:
        found: list[_Piece] = []
        for group in _groups_by_formula(blocks):
            found += self._fitting(group, self._inside)
        return _separated(found, blocks)

    def _inside(self, group: Sequence[Block]) -> list[_Piece]:
        """Pieces of one block that is too large; a display formula stays with the sentence before it."""
        block, formulas = group[0], group[1:]
        if block.kind == "code":
            pieces = self._code_pieces(block)
        elif block.kind == "table":
            pieces = self._table_pieces(block)
        elif block.kind == "formula" and len(block.text) <= _LARGEST_FORMULA:
            pieces = _whole_pieces([block])
        else:
            pieces = self._sentence_pieces(block)
        return [*pieces[:-1], _merged([pieces[-1], *_whole_pieces(formulas)])] if formulas else pieces

    def _sentence_pieces(self, block: Block) -> list[_Piece]:
        self._cut_blocks += 1
        found, line, last_line = [], 0, len(block.lines) - 1
        for sentence in split_sentences(_block_text(block)):
            for part in self._clauses(sentence):
                end = line + part.rstrip("\n").count("\n")
                first, last = block.lines[min(line, last_line)].number, block.lines[min(end, last_line)].number
                found.append(_Piece(part, first, last, "", self._cut_blocks))
                line += part.count("\n")
        return [replace(found[0], before="\n"), *found[1:]]

    def _clauses(self, sentence: str) -> list[str]:
        """Return the sentence, or what it must be cut into because it alone is too large."""
        if self._count(sentence) <= self._piece_limit:
            return [sentence]
        shielded = verbatim_spans(sentence)
        cuts = [match.start() for match in _CLAUSE.finditer(sentence)]
        parts = _cut_at(sentence, [cut for cut in cuts if not any(start < cut < end for start, end in shielded)])
        packed: list[str] = []
        for part in parts:
            if packed and self._count(packed[-1] + part) <= self._config.target_tokens:
                packed[-1] += part
            else:
                packed.append(part)
        return [piece for part in packed for piece in self._by_force(part)]

    def _by_force(self, text: str) -> list[str]:
        """Equal parts of text that has no pause at all; formulas, code and addresses in it stay whole."""
        share = ceil(self._count(text) / self._config.target_tokens)
        if self._count(text) <= self._piece_limit:
            return [text]
        step = max(1, len(text) // share)
        spans = verbatim_spans(text)
        cuts = [next((end for start, end in spans if start < cut < end), cut) for cut in range(step, len(text), step)]
        parts = _cut_at(text, cuts)
        if len(parts) == 1:
            return parts
        return [piece for part in parts for piece in self._by_force(part)]

    def _code_pieces(self, block: Block) -> list[_Piece]:
        packed: list[list[Line]] = []
        for part in _code_parts(block.lines):
            if packed and self._count(_fenced(block.language, [*packed[-1], *part])) <= self._config.max_tokens:
                packed[-1] += part
            else:
                packed.append(part)
        return [
            _Piece(_fenced(block.language, part), part[0].number, part[-1].number, "\n\n")
            for part in (_without_blank_edges(part) for part in packed)
            if part
        ]

    def _table_pieces(self, block: Block) -> list[_Piece]:
        header, rows = block.lines[0], block.lines[1:]
        packed: list[list[Line]] = []
        for row in rows:
            if packed and self._count(_table_text([header, *packed[-1], row])) <= self._config.target_tokens:
                packed[-1].append(row)
            else:
                packed.append([row])
        found: list[_Piece] = []
        for part in packed:
            text = _table_text([header, *part])
            if self._count(text) <= self._config.max_tokens:
                found.append(_Piece(text, part[0].number, part[-1].number, "\n\n"))
            else:
                found += self._sentence_pieces(replace(block, kind="paragraph", lines=(header, *part)))
        return found or self._sentence_pieces(replace(block, kind="paragraph"))

    def pack(self, pieces: Sequence[_Piece]) -> list[Passage]:
        if self._count(_join(pieces)) <= whole_limit(self._config):
            return [_passage(pieces)]
        groups: list[list[_Piece]] = []
        for start, end in self._best_bounds(pieces):
            repeated = self._overlap(groups[-1], pieces[start:end]) if groups else []
            groups.append([*repeated, *pieces[start:end]])
        return [_passage(group) for group in groups]

    def _best_bounds(self, pieces: Sequence[_Piece]) -> list[tuple[int, int]]:
        """Choose the fewest passages within the target, and of those the most even; dynamic programming from the end.

        A passage that would be too small, or would end with a lead-in, may take one piece more, up to the limit. Sizes
        are sums over the pieces, one token each for what joins them: a tokenizer needs no more for the whole.
        """
        sizes = [self._count(piece.text) + 1 for piece in pieces]
        best: list[tuple[int, int, int, int]] = [(0, 0, 0, len(pieces))] * (len(pieces) + 1)
        for start in range(len(pieces) - 1, -1, -1):
            options = []
            unfinished, size = False, 0
            for end in range(start + 1, len(pieces) + 1):
                size += sizes[end - 1]
                limit = self._config.max_tokens if unfinished else self._config.target_tokens
                if size > limit and end > start + 1:
                    break
                unfinished = size < self._config.min_tokens or bool(_LEAD.search(pieces[end - 1].text))
                bad, groups, squares, _ = best[end]
                options.append((bad + unfinished, groups + 1, squares + size * size, end))
            best[start] = min(options)
        bounds = [0]
        while bounds[-1] < len(pieces):
            bounds.append(best[bounds[-1]][3])
        return [part for start, end in pairwise(bounds) for part in self._within_limit(pieces, start, end)]

    def _within_limit(self, pieces: Sequence[_Piece], start: int, end: int) -> list[tuple[int, int]]:
        """Halve what a tokenizer that is not additive counts as too large after all."""
        if end - start == 1 or self._count(_join(pieces[start:end])) <= self._config.max_tokens:
            return [(start, end)]
        middle = (start + end) // 2
        return [*self._within_limit(pieces, start, middle), *self._within_limit(pieces, middle, end)]

    def _overlap(self, group: Sequence[_Piece], following: Sequence[_Piece]) -> list[_Piece]:
        """Repeat the last sentences of the passage before, if the same block goes on in this one."""
        wanted = self._config.overlap_sentences
        same = [other for other in group if other.block is not None and other.block == following[0].block]
        repeated = same[-wanted:] if wanted else []
        while repeated and (
            self._count(_join(repeated)) > self._config.target_tokens // 3
            or self._count(_join([*repeated, *following])) > self._config.max_tokens
        ):
            repeated = repeated[1:]
        return repeated


def bounded(config: ChunkerConfig) -> ChunkerConfig:
    """Return the config with a target that is not above the limit."""
    return config.model_copy(update={"target_tokens": min(config.target_tokens, config.max_tokens)})


def whole_limit(config: ChunkerConfig) -> int:
    """Up to this size a passage is not cut at all: half-way from the target to the limit beats a short rest."""
    return (config.target_tokens + config.max_tokens) // 2


def _groups_by_lead(blocks: Sequence[Block]) -> list[list[Block]]:
    """Group a lead-in with all that it announces, an item with what is inside it, a paragraph with its formula."""
    return _grouped(blocks, lambda group, block: _is_announced(group[0], block) or _is_inside(group, block))


def _groups_by_item(blocks: Sequence[Block]) -> list[list[Block]]:
    """Group the same without the lists below lead-in paragraphs: only the first item stays with its lead-in."""
    return _grouped(blocks, _is_inside)


def _groups_by_formula(blocks: Sequence[Block]) -> list[list[Block]]:
    return _grouped(blocks, lambda group, block: block.kind == "formula" and group[0].kind not in {"code", "table"})


def _grouped(blocks: Sequence[Block], belongs: Callable[[list[Block], Block], bool]) -> list[list[Block]]:
    groups: list[list[Block]] = []
    for block in blocks:
        if groups and belongs(groups[-1], block):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _is_announced(head: Block, block: Block) -> bool:
    return is_lead(head) and head.kind != "item" and block.kind == "item" and block.quotes == head.quotes


def _is_inside(group: Sequence[Block], block: Block) -> bool:
    head = next((other for other in group if other.kind == "item"), group[0])
    if block.kind == "formula" or is_lead(group[-1]) or block.depth > head.depth:
        return True
    if head.kind != "item" or block.depth != head.depth:
        return False
    # A paragraph of the item; or the bullets that follow `1. **Name**` on the same level.
    return block.kind != "item" or (head.marker != "-" and block.marker == "-")


def is_lead(block: Block) -> bool:
    """Tell whether a block announces the next: it ends with a colon, or is nothing but a bold name."""
    return block.kind in {"paragraph", "item"} and (
        bool(_LEAD.search(block.text)) or (block.text == block.strong and not _STOP.search(block.text))
    )


def _whole_pieces(blocks: Sequence[Block]) -> list[_Piece]:
    whole = [_Piece(_block_text(block), block.first, block.last, "\n") for block in blocks]
    return [
        replace(piece, before=_separator(blocks[index - 1], blocks[index]) if index else "\n")
        for index, piece in enumerate(whole)
    ]


def _separated(pieces: Sequence[_Piece], blocks: Sequence[Block]) -> list[_Piece]:
    """Blank lines where two paragraphs meet: a piece that starts with a block takes that block's separator."""
    starts = {block.first: _separator(blocks[index - 1], block) for index, block in enumerate(blocks) if index}
    return [
        replace(piece, before=starts.get(piece.first, piece.before)) if piece.before == "\n" else piece
        for piece in pieces
    ]


def _separator(before: Block, block: Block) -> str:
    solid = {"code", "table"}
    if before.kind in solid or block.kind in solid:
        return "\n\n"
    paragraphs = before.kind == block.kind == "paragraph" and not block.depth
    return "\n\n" if paragraphs and not is_lead(before) else "\n"


def _join(pieces: Iterable[_Piece]) -> str:
    text = ""
    for piece in pieces:
        text = f"{text.rstrip()}{piece.before}{piece.text}" if text and piece.before else text + piece.text
    return text.strip("\n").rstrip()


def _merged(pieces: Sequence[_Piece]) -> _Piece:
    first, last = min(piece.first for piece in pieces), max(piece.last for piece in pieces)
    return _Piece(_join(pieces), first, last, pieces[0].before, pieces[0].block)


def _passage(pieces: Sequence[_Piece]) -> Passage:
    merged = _merged(pieces)
    return Passage(merged.text, (merged.first, merged.last))


def _block_text(block: Block) -> str:
    if block.kind == "code":
        return _fenced(block.language, block.lines)
    if block.kind == "table":
        return _table_text(block.lines)
    if block.kind == "item":
        indent = "  " * (block.depth - 1)
        rest = [f"{indent}  {line.text}" for line in block.lines[1:]]
        return "\n".join([f"{indent}{block.marker} {block.lines[0].text}", *rest])
    return "\n".join("  " * block.depth + line.text for line in block.lines)


def _fenced(language: str, lines: Sequence[Line]) -> str:
    code = "\n".join(line.text for line in lines)
    ticks = max((len(run) for run in re.findall(r"`{3,}", code)), default=2) + 1
    return f"{'`' * ticks}{language}\n{code}\n{'`' * ticks}"


def _table_text(rows: Sequence[Line]) -> str:
    if not rows:
        return ""
    columns = len(re.findall(r"(?<!\\)\|", rows[0].text)) - 1
    return "\n".join([rows[0].text, "|" + " --- |" * columns, *(row.text for row in rows[1:])])


def _code_parts(lines: Sequence[Line]) -> list[list[Line]]:
    """Code cut before definitions and top-level statements that follow a blank line, and nowhere else."""
    parts: list[list[Line]] = [[]]
    for index, line in enumerate(lines):
        if index and not lines[index - 1].text.strip() and _starts_definition(lines, index):
            parts.append([])
        parts[-1].append(line)
    return parts


def _starts_definition(lines: Sequence[Line], index: int) -> bool:
    text = lines[index].text
    if not _DEFINITION.match(text):
        return False
    if _OPENING.match(text):
        return True
    # Comments and decorators belong to the definition right below them.
    below = next((line.text for line in lines[index + 1 :] if not re.match(r"\s*(?:#|//|\*|/\*|@)", line.text)), "")
    return bool(_OPENING.match(below)) and bool(below.strip())


def _without_blank_edges(lines: Sequence[Line]) -> list[Line]:
    kept = list(lines)
    while kept and not kept[0].text.strip():
        kept.pop(0)
    while kept and not kept[-1].text.strip():
        kept.pop()
    return kept


def _cut_at(text: str, cuts: Sequence[int]) -> list[str]:
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(text)}), len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if end > start]
