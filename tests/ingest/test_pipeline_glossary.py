"""The notes' own names for a thing: stored with the snapshot and, where that has a weight, a field of BM25."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.config import IndexConfig, LexicalConfig
from index.snapshot import open_current
from index.tokenizer import Tokenizer
from ingest.config import IngestConfig
from ingest.pipeline import index_notes
from tests.toys import ToyEncoder

NAMED = "# 注意力\n\n自注意力（self-attention）让序列里的每个词都去看其他的词，按相关程度加权相加。\n"
UNNAMED = "# 复杂度\n\n自注意力的开销随着序列的长度平方增长，序列一长显存就不够用了。\n"


@pytest.mark.parametrize(("weight", "found"), [(0.0, {"named.md"}), (1.0, {"named.md", "unnamed.md"})])
def test_a_chunk_is_found_by_the_other_name_of_what_it_names(tmp_path: Path, weight: float, found: set[str]) -> None:
    notes, data = tmp_path / "notes", tmp_path / "data"
    notes.mkdir()
    (notes / "named.md").write_text(NAMED, encoding="utf-8")
    (notes / "unnamed.md").write_text(UNNAMED, encoding="utf-8")
    config = IndexConfig(lexical=LexicalConfig(expansion_weight=weight))
    index_notes([notes], data, config, IngestConfig(), encoder=ToyEncoder())
    snapshot, _ = open_current(data, config)
    assert [pair.names for pair in snapshot.glossary.pairs] == [("self-attention", "自注意力")]
    rows = snapshot.lexical.search(Tokenizer().terms("self-attention"), 10)
    assert {snapshot.chunks[row].note for row, _ in rows} == found
    snapshot.close()
