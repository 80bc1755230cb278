"""Questions written about chunks: each passage paid for once, and each chunk found through what is asked of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from index.config import ConceptsConfig, IndexConfig, LateConfig
from index.embedding_cache import EmbeddingCache
from index.errors import GenerationFailed, StorageFailed
from index.late import TokenVectors
from index.schema import Chunk, chunk_id
from index.snapshot import Snapshot, open_current
from ingest.config import IngestConfig
from ingest.pipeline import IndexSummary, index_notes
from ingest.questions import written_questions
from tests.ingest.test_pipeline import Listener
from tests.toys import ToyEncoder

QUIET = Listener()
TEA, COFFEE, WATER = "绿茶用八十度的水冲泡。", "咖啡豆要现磨现用。", "硬水让茶汤浑浊。"
WITHOUT_LEXICON = IndexConfig(concepts=ConceptsConfig(enabled=False))


@dataclass
class ToyWriter:
    """Asks about the last line of a passage; breaks when it has been asked ``fails_after`` times."""

    version: int = 0
    number: int = 2
    fails_after: int | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return f"toy-{self.version}"

    def write(self, passage: str, language: str) -> list[str]:
        if len(self.asked) == self.fails_after:
            raise GenerationFailed("The toy broke.", hint="Mend it.")
        self.asked.append((passage, language))
        return [f"第 {number} 问：{passage.splitlines()[-1]}？" for number in range(self.number)]

    def take_asked(self) -> list[str]:
        taken, self.asked = [passage for passage, _ in self.asked], []
        return taken


def chunk(text: str, *heading: str, note: str = "a.md", language: str = "zh") -> Chunk:
    return Chunk(chunk_id(note, heading, text), note, heading, text, (1, 1), language=language)


def chunks_of(*texts: str) -> list[Chunk]:
    return [chunk(text) for text in texts]


def kept_in(folder: Path) -> Path:
    (file,) = folder.glob("questions*")
    return file


class TestKept:
    def test_each_passage_is_asked_about_once_by_its_row_and_in_its_language(self, tmp_path: Path) -> None:
        writer = ToyWriter()
        chunks = [chunk(TEA, "冲泡"), chunk("Grind the beans.", language="en"), chunk(TEA, "冲泡", note="b.md")]
        questions = written_questions(chunks, writer, tmp_path, QUIET)
        assert writer.asked == [(f"冲泡\n{TEA}", "zh"), ("Grind the beans.", "en")]
        assert questions[0] == questions[2] == [f"第 0 问：{TEA}？", f"第 1 问：{TEA}？"]
        assert questions[1] == ["第 0 问：Grind the beans.？", "第 1 问：Grind the beans.？"]

    def test_a_later_run_pays_for_what_is_new(self, tmp_path: Path) -> None:
        writer = ToyWriter()
        first = written_questions(chunks_of(TEA, COFFEE), writer, tmp_path, QUIET)
        writer.take_asked()
        later = written_questions(chunks_of(WATER, COFFEE, TEA), writer, tmp_path, QUIET)
        assert writer.take_asked() == [WATER]
        assert (later[1], later[2]) == (first[1], first[0])

    def test_a_passage_that_nothing_was_asked_about_is_not_tried_again(self, tmp_path: Path) -> None:
        for asked in ([TEA], []):
            writer = ToyWriter(number=0)
            assert written_questions(chunks_of(TEA), writer, tmp_path, QUIET) == {0: []}
            assert writer.take_asked() == asked

    def test_another_writer_asks_its_own_and_leaves_the_first_ones(self, tmp_path: Path) -> None:
        for writer, asked in ((ToyWriter(0), [TEA]), (ToyWriter(1), [TEA]), (ToyWriter(0), []), (ToyWriter(1), [])):
            written_questions(chunks_of(TEA), writer, tmp_path, QUIET)
            assert writer.take_asked() == asked

    def test_a_run_that_breaks_keeps_what_was_written(self, tmp_path: Path) -> None:
        with pytest.raises(GenerationFailed):
            written_questions(chunks_of(TEA, COFFEE, WATER), ToyWriter(fails_after=2), tmp_path, QUIET)
        writer = ToyWriter()
        assert len(written_questions(chunks_of(TEA, COFFEE, WATER), writer, tmp_path, QUIET)) == 3
        assert writer.take_asked() == [WATER]

    def test_progress_counts_what_has_to_be_written(self, tmp_path: Path) -> None:
        listener = Listener()
        written_questions(chunks_of(TEA), ToyWriter(), tmp_path, QUIET)
        written_questions(chunks_of(TEA, COFFEE, WATER), ToyWriter(), tmp_path, listener)
        assert listener.events == [("writing questions", 2), ("advance", 1), ("advance", 1), ("finish", 0)]

    def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(StorageFailed):
            written_questions(chunks_of(TEA), ToyWriter(), tmp_path / "file" / "cache", QUIET)


class TestDamage:
    """Three passages are kept, a line each; the second or third is damaged."""

    @pytest.fixture
    def lines(self, tmp_path: Path) -> list[bytes]:
        written_questions(chunks_of(TEA, COFFEE, WATER), ToyWriter(), tmp_path, QUIET)
        return kept_in(tmp_path).read_bytes().splitlines(keepends=True)

    def rewritten(self, folder: Path, lines: Sequence[bytes]) -> list[str]:
        kept_in(folder).write_bytes(b"".join(lines))
        writer = ToyWriter()
        found = written_questions(chunks_of(TEA, COFFEE, WATER), writer, folder, QUIET)
        assert found[1] == [f"第 0 问：{COFFEE}？", f"第 1 问：{COFFEE}？"]
        return writer.take_asked()

    @pytest.mark.parametrize(
        "damaged",
        [b"\xff\xfe\x00\n", b"not json\n", b"[]\n", b"7\n", b'["toy-0", "x", ["y"], "z"]\n', b"[" * 100_000 + b"\n"],
        ids=["bytes", "text", "empty", "number", "digest", "deep"],
    )
    def test_a_damaged_line_is_said_and_written_again(
        self, tmp_path: Path, lines: list[bytes], damaged: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            assert self.rewritten(tmp_path, [lines[0], damaged, lines[2]]) == [COFFEE]
        assert "1 lines" in caplog.text

    def test_a_question_that_changed_on_disk_is_not_used(self, tmp_path: Path, lines: list[bytes]) -> None:
        changed = lines[1].replace("咖啡".encode(), "可可".encode())
        assert changed != lines[1]
        assert self.rewritten(tmp_path, [lines[0], changed, lines[2]]) == [COFFEE]

    def test_after_a_line_that_was_cut_off_writing_goes_on(self, tmp_path: Path, lines: list[bytes]) -> None:
        assert self.rewritten(tmp_path, [lines[0], lines[1], lines[2][:20]]) == [WATER]
        assert self.rewritten(tmp_path, [kept_in(tmp_path).read_bytes()]) == []


BREWING = """# 茶

## 冲泡绿茶

绿茶用八十度左右的水冲泡，水太烫茶汤会发苦，香气也会散掉很多，所以不要用刚烧开的水来泡。
"""
KEEPING = """---
title: 保存
---

茶叶要密封避光存放，放在冰箱冷藏可以保鲜一年，普洱则要通风存放，让它在时间里慢慢地转化。
"""


class TestIndexed:
    """A folder with two notes of a chunk each, indexed with questions about each."""

    @pytest.fixture
    def notes(self, tmp_path: Path) -> Path:
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "brewing.md").write_text(BREWING, encoding="utf-8")
        (tmp_path / "notes" / "keeping.md").write_text(KEEPING, encoding="utf-8")
        return tmp_path / "notes"

    def index(
        self, notes: Path, writer: ToyWriter | None, config: IndexConfig = WITHOUT_LEXICON, **options: Any
    ) -> IndexSummary:
        data = options.pop("data", notes.with_name("data"))
        return index_notes([notes], data, config, IngestConfig(), encoder=ToyEncoder(), writer=writer, **options)

    def published(self, notes: Path, config: IndexConfig = WITHOUT_LEXICON) -> Snapshot:
        snapshot, problem = open_current(notes.with_name("data"), config)
        assert problem is None
        snapshot.close()  # what it has in memory stays
        return snapshot

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_chunk_is_found_through_its_questions_and_named_by_its_heading(self, notes: Path, number: int) -> None:
        self.index(notes, ToyWriter(number=number))
        snapshot = self.published(notes)
        concepts = snapshot.concepts
        assert concepts is not None
        assert [concept.names for concept in concepts.concepts] == [("冲泡绿茶",), ("保存",)]
        for row, concept in enumerate(concepts.concepts):
            assert len(concept.descriptions) == number
            asked = ToyEncoder().encode_query(concept.descriptions[0])
            best, *_ = concepts.matches(TokenVectors(asked.token_vectors, asked.token_ids), asked.vector)
            assert (best.names, best.description) == (concept.names, concept.descriptions[0])
            relevance = concepts.relevance([best])
            assert relevance[row] == best.strength > relevance[1 - row]

    def test_the_lexicon_stays_beside_them(self, notes: Path) -> None:
        lexicon = notes.with_name("lexicon.jsonl")
        lexicon.write_text('{"names": ["绿茶"], "descriptions": ["不发酵的叶子"]}', encoding="utf-8")
        own = ConceptsConfig(built_in=False, files=(lexicon,), least_named=0.0)
        self.index(notes, ToyWriter(), IndexConfig(concepts=own))
        concepts = self.published(notes, IndexConfig(concepts=own)).concepts
        assert concepts is not None
        assert [concept.names for concept in concepts.concepts] == [("绿茶",), ("冲泡绿茶",), ("保存",)]

    def test_notes_that_nothing_was_asked_about_have_none(self, notes: Path) -> None:
        self.index(notes, ToyWriter(number=0))
        assert self.published(notes).concepts is None

    def test_without_late_interaction_they_have_no_use(self, notes: Path) -> None:
        config = IndexConfig(late=LateConfig(enabled=False))
        self.index(notes, ToyWriter(), config)
        assert self.published(notes, config).concepts is None

    def test_the_index_is_built_anew_when_the_writer_changes_and_only_then(self, notes: Path) -> None:
        writers = [None, ToyWriter(0), ToyWriter(0), ToyWriter(1), None, None]
        assert [self.index(notes, writer).snapshot for writer in writers] == [
            "000001",
            "000002",
            "000002",
            "000003",
            "000004",
            "000004",
        ]
        assert self.published(notes).concepts is None

    def test_a_writer_that_breaks_leaves_what_was_published(self, notes: Path) -> None:
        self.index(notes, ToyWriter(0))
        with pytest.raises(GenerationFailed):
            self.index(notes, ToyWriter(1, fails_after=1))
        assert self.published(notes).name == "000001"
        writer = ToyWriter(1)
        assert self.index(notes, writer).snapshot == "000002"
        assert len(writer.asked) == 1

    def test_indexes_that_share_a_cache_share_the_questions(self, notes: Path, tmp_path: Path) -> None:
        for data, asked in (("one", 2), ("two", 0)):
            writer = ToyWriter()
            with EmbeddingCache(tmp_path / "shared") as cache:
                self.index(notes, writer, data=tmp_path / data, cache=cache)
            assert len(writer.asked) == asked
