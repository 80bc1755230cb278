"""Concepts in a run of the pipeline: descriptions are encoded once, a changed file is a changed index."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from index.config import ConceptsConfig, IndexConfig
from index.errors import ConfigInvalid
from index.snapshot import Snapshot, current_name, open_current
from ingest.config import IngestConfig
from ingest.pipeline import IndexSummary, index_notes
from tests.ingest.test_pipeline import ATTENTION, Listener
from tests.toys import AskedEncoder

SELF_ATTENTION = '{"names": ["自注意力"], "descriptions": ["一句话里的词互相看", "who looks at whom"]}'
SOFTMAX = '{"names": ["softmax"], "descriptions": ["把一排数变成加起来等于一的份额"]}'
DESCRIPTIONS = {"一句话里的词互相看", "who looks at whom"}
ANOTHER = "把一排数变成加起来等于一的份额"


@dataclass
class Described(AskedEncoder):
    """Tells which of the descriptions it was asked to encode."""

    def take_descriptions(self) -> list[str]:
        """Those that were encoded since the last time."""
        taken, self.asked = self.asked, []
        return sorted(text for text in taken if text in {*DESCRIPTIONS, ANOTHER})


@dataclass
class Notes:
    """A note, a file of concepts and a data folder."""

    root: Path
    encoder: Described = field(default_factory=Described)

    def __post_init__(self) -> None:
        (self.root / "notes").mkdir()
        self.write(ATTENTION)
        self.describe(SELF_ATTENTION)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def config(self) -> IndexConfig:
        concepts = ConceptsConfig(built_in=False, files=(self.root / "own.jsonl",), least_named=0.0)
        return IndexConfig(concepts=concepts)

    def write(self, text: str) -> None:
        (self.root / "notes" / "attention.md").write_text(text, encoding="utf-8")

    def describe(self, *lines: str) -> None:
        (self.root / "own.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def index(self, *, full: bool = False, listener: Listener | None = None) -> IndexSummary:
        notes, ingest = [self.root / "notes"], IngestConfig()
        return index_notes(notes, self.data, self.config, ingest, encoder=self.encoder, full=full, listener=listener)

    def published(self) -> Snapshot:
        snapshot, problem = open_current(self.data, self.config)
        snapshot.close()
        assert problem is None
        return snapshot


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


def named_in(snapshot: Snapshot) -> list[str]:
    return [concept.names[0] for concept in snapshot.concepts.concepts] if snapshot.concepts else []


def test_a_run_publishes_the_concepts_that_the_notes_name(notes: Notes) -> None:
    notes.describe(SOFTMAX, '{"names": ["早停"], "descriptions": ["看着验证分数不涨就收手"]}', SELF_ATTENTION)
    notes.index()
    assert named_in(notes.published()) == ["softmax", "自注意力"]


def test_no_description_is_encoded_twice(notes: Notes) -> None:
    notes.index()
    assert notes.encoder.take_descriptions() == sorted(DESCRIPTIONS)
    notes.index()
    notes.write(ATTENTION.replace("训练才稳定", "训练就不会发散"))
    assert (notes.index().snapshot, notes.index().snapshot) == ("000002", "000002")
    assert notes.encoder.take_descriptions() == []
    assert named_in(notes.published()) == ["自注意力"]
    notes.index(full=True)
    assert notes.encoder.take_descriptions() == sorted(DESCRIPTIONS)


def test_a_changed_file_is_published_and_only_what_is_new_in_it_encoded(notes: Notes) -> None:
    notes.index()
    notes.encoder.take_descriptions()
    notes.describe(SELF_ATTENTION, SOFTMAX)
    summary = notes.index()
    assert (summary.snapshot, summary.chunks_embedded) == ("000002", 0)
    assert notes.encoder.take_descriptions() == [ANOTHER]
    assert named_in(notes.published()) == ["自注意力", "softmax"]


def test_what_the_notes_name_no_more_is_gone(notes: Notes) -> None:
    notes.describe(SELF_ATTENTION, SOFTMAX)
    notes.index()
    notes.write(ATTENTION.replace("自注意力", "这一层"))
    notes.index()
    assert named_in(notes.published()) == ["softmax"]


def test_who_listens_hears_of_the_descriptions(notes: Notes) -> None:
    stages = []
    for _ in range(2):
        listener = Listener()
        notes.index(listener=listener)
        stages.append([event for event in listener.events if event[0] not in {"advance", "finish"}])
        advanced = sum(n for what, n in listener.events if what == "advance")
        assert advanced == sum(total for _, total in stages[-1])
        notes.write(ATTENTION.replace("训练才稳定", "训练就不会发散"))
    assert stages == [
        [("reading notes", 1), ("encoding chunks", 2), ("encoding concepts", 2), ("building the index", 1)],
        [("reading notes", 1), ("encoding chunks", 1), ("encoding concepts", 0), ("building the index", 1)],
    ]


def test_a_file_that_cannot_be_read_leaves_the_old_index(notes: Notes) -> None:
    notes.index()
    before = named_in(notes.published())
    notes.describe(SELF_ATTENTION, "softmax")
    with pytest.raises(ConfigInvalid, match=r"own\.jsonl:2"):
        notes.index()
    assert current_name(notes.data) == "000001"
    notes.describe(SELF_ATTENTION)
    assert named_in(notes.published()) == before == ["自注意力"]
