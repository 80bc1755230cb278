"""A note's way into the index: what a run reads, encodes and publishes, and that no road to the same notes matters."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.config import IndexConfig
from index.errors import IndexLocked, NotesMissing, StorageFailed
from index.publishing import writing
from index.snapshot import Manifest, current_name, open_current, snapshot_names, verified_manifest
from ingest.config import IngestConfig
from ingest.pipeline import IndexSummary, index_notes
from tests.toys import ToyEncoder

CONFIG, INGEST = IndexConfig(), IngestConfig()

ATTENTION = """# 注意力

## 什么是自注意力？

自注意力让序列里的每个词都去看其他的词，按相关程度把它们的表示加权相加，得到自己的新表示。

## 为什么要除以根号？

维度大的时候点积也大，softmax 会落到梯度很小的地方，除以根号 d 让方差回到一附近，训练才稳定。
"""
RETRIEVAL = """# 检索

## BM25 怎么打分？

BM25 把词频、逆文档频率和文档长度合在一起，词频的作用会饱和，太长的文档会被压低一些分数。
"""
FUSION = """# Fusion

Reciprocal rank fusion adds one over the rank in every list, so that no score has to be calibrated first.
"""


@dataclass
class Listener:
    events: list[tuple[str, int]] = field(default_factory=list)

    def start(self, stage: str, total: int) -> None:
        self.events.append((stage, total))

    def advance(self, n: int) -> None:
        self.events.append(("advance", n))

    def finish(self) -> None:
        self.events.append(("finish", 0))


@dataclass
class Project:
    """A notes folder, a data folder and an encoder that counts."""

    root: Path
    encoder: ToyEncoder = field(default_factory=ToyEncoder)

    @property
    def notes(self) -> Path:
        return self.root / "notes"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def write(self, notes: Mapping[str, str]) -> None:
        for name, text in notes.items():
            (self.notes / name).parent.mkdir(parents=True, exist_ok=True)
            (self.notes / name).write_text(text, encoding="utf-8")

    def index(self, **options: Any) -> IndexSummary:
        return index_notes([self.notes], self.data, CONFIG, INGEST, encoder=self.encoder, **options)

    def published(self) -> Manifest:
        return verified_manifest(self.data, current_name(self.data))

    def texts(self) -> list[str]:
        snapshot, problem = open_current(self.data, CONFIG)
        snapshot.close()
        assert problem is None
        return [chunk.text for chunk in snapshot.chunks]

    def ids(self) -> list[str]:
        snapshot, _ = open_current(self.data, CONFIG)
        snapshot.close()
        return [chunk.id for chunk in snapshot.chunks]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write({"attention.md": ATTENTION, "检索/bm25.md": RETRIEVAL, "fusion.txt": FUSION})
    return project


def counts(summary: IndexSummary) -> tuple[int, int, int, int]:
    return (summary.notes.added, summary.notes.changed, summary.notes.removed, summary.notes.unchanged)


def hashes(manifest: Manifest) -> dict[str, str]:
    return {name: file["sha256"] for name, file in manifest.files.items()}


def test_the_first_run_publishes_every_chunk(project: Project) -> None:
    summary = project.index()
    assert counts(summary) == (3, 0, 0, 0)
    assert (summary.snapshot, summary.chunks, summary.chunks_embedded) == ("000001", 4, 4)
    texts = project.texts()
    assert len(texts) == 4
    assert sum("自注意力" in text for text in texts) == 1
    manifest = project.published()
    assert manifest.sources == (str(project.notes),)
    assert {note: record.chunks for note, record in manifest.notes.items()} == {
        "attention.md": 2,
        "fusion.txt": 1,
        "检索/bm25.md": 1,
    }
    assert manifest.build["chunks_embedded"] == 4


def test_the_summary_is_the_contract_of_the_command_line(project: Project) -> None:
    (project.notes / "broken.md").write_bytes(b"\x00\x01\x02" * 100)
    given = project.index().as_json()
    summary = json.loads(json.dumps(given))
    assert summary == given  # lists, not tuples: the service's strict JSON fields take nothing else
    assert set(summary) == {
        "snapshot",
        "notes",
        "chunks",
        "duplicates",
        "passages_left_out",
        "chunks_embedded",
        "seconds",
    }
    assert set(summary["notes"]) == {"added", "changed", "removed", "unchanged", "skipped"}
    (skipped,) = summary["notes"]["skipped"]
    assert set(skipped) == {"path", "reason"}
    assert skipped["path"] == "broken.md"
    assert skipped["reason"]
    assert summary["seconds"] > 0


def test_nothing_changed_encodes_nothing_and_publishes_nothing(project: Project) -> None:
    project.index()
    before = project.published()
    project.encoder.take_encoded()
    os.utime(project.notes / "attention.md", (1, 1))  # times do not count, bytes do
    summary = project.index()
    assert counts(summary) == (0, 0, 0, 3)
    assert (summary.snapshot, summary.chunks, summary.chunks_embedded) == ("000001", 4, 0)
    assert project.encoder.take_encoded() == []
    assert project.published() == before


def test_a_changed_note_pays_for_its_new_chunks_only(project: Project) -> None:
    project.index()
    project.encoder.take_encoded()
    project.write({"attention.md": ATTENTION.replace("训练才稳定", "训练就不会发散")})
    summary = project.index()
    assert counts(summary) == (0, 1, 0, 2)
    assert (summary.snapshot, summary.chunks, summary.chunks_embedded) == ("000002", 4, 1)
    (encoded,) = project.encoder.take_encoded()
    assert "训练就不会发散" in encoded
    assert not any("训练才稳定" in text for text in project.texts())


def test_the_identity_of_a_chunk_outlives_changes_elsewhere(project: Project) -> None:
    project.index()
    before = project.ids()
    project.write(
        {"attention.md": "\n\n" + ATTENTION.replace("训练才稳定", "训练就不会发散"), "new.md": "# 新\n\n新的笔记。"}
    )
    project.index()
    after = project.ids()
    assert len(set(before) - set(after)) == 1
    assert len(set(after) - set(before)) == 2


def test_a_removed_note_is_gone(project: Project) -> None:
    project.index()
    project.encoder.take_encoded()
    (project.notes / "检索/bm25.md").unlink()
    summary = project.index()
    assert counts(summary) == (0, 0, 1, 2)
    assert (summary.chunks, summary.chunks_embedded, project.encoder.take_encoded()) == (3, 0, [])
    assert not any("BM25" in text for text in project.texts())


def test_a_renamed_note_with_a_title_of_its_own_is_not_encoded_again(project: Project) -> None:
    project.index()
    (project.notes / "attention.md").rename(project.notes / "renamed.md")
    summary = project.index()
    assert counts(summary) == (1, 0, 1, 2)
    assert summary.chunks_embedded == 0
    assert set(project.published().notes) == {"renamed.md", "fusion.txt", "检索/bm25.md"}


def test_new_front_matter_reaches_the_chunks_without_encoding_them(project: Project) -> None:
    project.index()
    project.write({"attention.md": f"---\ntags: [transformer]\ndate: 2024-05-01\n---\n{ATTENTION}"})
    summary = project.index()
    assert (counts(summary), summary.chunks_embedded) == ((0, 1, 0, 2), 0)
    snapshot, _ = open_current(project.data, CONFIG)
    snapshot.close()
    tagged = [chunk for chunk in snapshot.chunks if chunk.note == "attention.md"]
    assert [(chunk.tags, chunk.date) for chunk in tagged] == [(("transformer",), "2024-05-01")] * 2


def test_a_new_title_changes_what_is_encoded(project: Project) -> None:
    project.index()
    project.write({"attention.md": f"---\ntitle: Transformer 笔记\n---\n{ATTENTION}"})
    assert project.index().chunks_embedded == 2


def test_full_encodes_everything_and_publishes_the_same_content(project: Project) -> None:
    project.index()
    before = project.published()
    project.encoder.take_encoded()
    summary = project.index(full=True)
    assert (summary.snapshot, summary.chunks_embedded, counts(summary)) == ("000002", 4, (0, 0, 0, 3))
    assert len(project.encoder.take_encoded()) == 4
    assert hashes(project.published()) == hashes(before)


def test_another_encoder_encodes_everything(project: Project) -> None:
    project.index()
    project.encoder = ToyEncoder(version=1)
    summary = project.index()
    assert (summary.snapshot, summary.chunks_embedded, counts(summary)) == ("000002", 4, (0, 0, 0, 3))


def changed(section: str, **settings_: object) -> tuple[IndexConfig, IngestConfig]:
    if section == "chunker":
        return CONFIG, INGEST.model_copy(update={section: INGEST.chunker.model_copy(update=settings_)})
    return CONFIG.model_copy(update={section: getattr(CONFIG, section).model_copy(update=settings_)}), INGEST


@pytest.mark.parametrize(
    ("config", "ingest"),
    [
        changed("dense", factory="HNSW32"),
        changed("late", full_precision_tokens=0),
        changed("late", enabled=False),
        changed("concepts", enabled=False),
        changed("chunker", min_tokens=3),
    ],
    ids=["dense", "late", "without late", "without concepts", "chunker"],
)
def test_other_settings_build_the_index_anew_without_encoding(
    project: Project, config: IndexConfig, ingest: IngestConfig
) -> None:
    project.index()
    summary = index_notes([project.notes], project.data, config, ingest, encoder=project.encoder)
    assert (summary.snapshot, summary.chunks_embedded) == ("000002", 0)
    again = index_notes([project.notes], project.data, config, ingest, encoder=project.encoder)
    assert again.snapshot == "000002"
    snapshot, problem = open_current(project.data, config)
    assert problem is None
    assert (snapshot.late is None) == (not config.late.enabled)
    snapshot.close()


def test_settings_of_the_search_alone_publish_nothing(project: Project) -> None:
    project.index()
    config, _ = changed("lexical", k1=1.2, heading_weight=2.0)
    assert index_notes([project.notes], project.data, config, INGEST, encoder=project.encoder).snapshot == "000001"


def test_without_paths_those_of_the_last_time_are_read_again(project: Project) -> None:
    project.index()
    project.write({"more.md": "# 更多\n\n又写了一条笔记，讲的是重排序模型。"})
    summary = index_notes([], project.data, CONFIG, INGEST, encoder=project.encoder)
    assert counts(summary) == (1, 0, 0, 3)
    with pytest.raises(NotesMissing, match="No notes folder was given") as refusal:
        index_notes([], project.root / "other", CONFIG, INGEST, encoder=project.encoder)
    assert "asknotes index" in refusal.value.hint


def test_a_file_named_like_a_user_is_a_file(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "~nobody-of-this-name.md").write_text(ATTENTION)
    monkeypatch.chdir(tmp_path)
    paths = [Path("~nobody-of-this-name.md")]
    assert index_notes(paths, project.data, CONFIG, INGEST, encoder=project.encoder).chunks == 2


@pytest.mark.parametrize("content", [b"\x00\x01\x02" * 100, b"", b"   \n"], ids=["binary", "empty", "blank"])
def test_a_file_that_cannot_be_read_is_listed_every_time(project: Project, content: bytes) -> None:
    project.index()
    (project.notes / "bad.md").write_bytes(content)
    for _ in range(2):
        summary = project.index()
        assert [skipped.path for skipped in summary.notes.skipped] == ["bad.md"]
        assert (summary.snapshot, counts(summary)) == ("000001", (0, 0, 0, 3))


def test_a_note_that_became_unreadable_is_removed(project: Project) -> None:
    project.index()
    (project.notes / "fusion.txt").write_bytes(b"\x00\x01\x02" * 100)
    summary = project.index()
    assert (counts(summary), len(summary.notes.skipped), summary.snapshot) == ((0, 0, 1, 2), 1, "000002")


def test_notes_that_answer_nothing_give_an_index_of_nothing(project: Project) -> None:
    shutil.rmtree(project.notes)
    project.write({"todo.md": "# 待办\n\n## 什么是注意力？\n\n## 什么是检索？\n"})
    summary = project.index()
    assert (summary.snapshot, summary.chunks, summary.chunks_embedded) == ("000001", 0, 0)
    assert summary.passages_left_out > 0
    assert project.texts() == []
    assert project.index().snapshot == "000001"
    project.write({"attention.md": ATTENTION})
    assert project.index().chunks == 2


def test_the_same_passage_in_two_notes_is_one_chunk(project: Project) -> None:
    project.write({"copy.md": ATTENTION})
    summary = project.index()
    assert (summary.chunks, summary.duplicates, summary.chunks_embedded) == (4, 2, 4)
    assert sum(record.chunks for record in project.published().notes.values()) == 4


@pytest.mark.parametrize("missing", ["empty", "gone"])
def test_without_notes_the_old_index_is_served(project: Project, missing: str) -> None:
    project.index()
    shutil.rmtree(project.notes)
    if missing == "empty":
        project.notes.mkdir()
    with pytest.raises(NotesMissing):
        project.index()
    assert len(project.texts()) == 4


@pytest.mark.parametrize("damaged", ["chunks.jsonl", "late_codes.npy", "manifest.json"])
def test_a_damaged_snapshot_is_said_and_built_anew(
    project: Project, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    project.index()
    before = project.published()
    (project.data / "snapshots" / "000001" / damaged).write_bytes(b"{")
    summary = project.index()
    assert (summary.snapshot, summary.chunks_embedded) == ("000002", 0)
    assert damaged in caplog.text
    assert hashes(project.published()) == hashes(before)


def test_a_damaged_snapshot_still_says_which_notes_it_was_made_of(project: Project) -> None:
    project.index()
    (project.data / "snapshots" / "000001" / "chunks.jsonl").write_bytes(b"{")
    summary = index_notes([], project.data, CONFIG, INGEST, encoder=project.encoder)
    assert (summary.snapshot, counts(summary)) == ("000002", (0, 0, 0, 3))


def test_a_snapshot_of_another_schema_is_built_anew(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.publishing.SCHEMA_VERSION", 0)
    project.index()
    monkeypatch.undo()
    summary = index_notes([], project.data, CONFIG, INGEST, encoder=project.encoder)
    assert summary.snapshot == "000002"
    assert len(project.texts()) == 4


def test_who_listens_hears_every_stage_and_step(project: Project) -> None:
    listener = Listener()
    config, _ = changed("concepts", enabled=False)
    index_notes([project.notes], project.data, config, INGEST, encoder=project.encoder, listener=listener)
    stages = [event for event in listener.events if event[0] not in {"advance", "finish"}]
    assert stages == [("reading notes", 3), ("encoding chunks", 4), ("building the index", 1)]
    assert sum(n for what, n in listener.events if what == "advance") == 8
    assert listener.events.count(("finish", 0)) == 3


def test_a_second_run_at_once_is_refused(project: Project) -> None:
    with writing(project.data), pytest.raises(IndexLocked):
        project.index()


def test_a_run_that_is_stopped_does_not_pay_twice(project: Project) -> None:
    @dataclass
    class Impatient(Listener):
        def advance(self, n: int) -> None:
            super().advance(n)
            if self.events[-2:] == [("advance", 1)] * 2 and ("encoding chunks", 4) in self.events:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project.index(listener=Impatient())
    assert snapshot_names(project.data) == []
    encoded = len(project.encoder.take_encoded())
    assert encoded == 2
    assert project.index().chunks_embedded == 2


def test_a_disk_that_fills_up_while_encoding_leaves_the_old_index(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.index()
    project.write({"new.md": "# 新\n\n写不下的新笔记，磁盘满了。"})

    def refuse(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("index.embedding_cache.EmbeddingCache.get", refuse)
    with pytest.raises(StorageFailed, match="embedding cache") as refusal:
        project.index()
    assert "still served" in refusal.value.hint
    assert len(project.texts()) == 4


PASSAGES = [
    "\n## 什么是检索增强？\n\n先找到有关的段落，再让模型照着段落回答，这样答案有出处，也容易更新。\n",
    "\n## 为什么要切块？\n\n整篇太长，向量会把所有意思混在一起，切成小块以后每块只讲一件事。\n",
    "\n## 为什么要切块？\n\n整篇太长，向量会把所有意思混在一起，切成小块以后每块只讲一件事！\n",
    "\nRerankers read the question and the passage together, which is slow and more exact than two vectors.\n",
    "\n- 召回率看有没有找到\n- 准确率看找到的对不对\n- 平均倒数排名看第一个对的排在哪里\n",
    "\n## 只有标题\n",
]
NAMES = ["a.md", "b.md", "子/c.md", "d.txt"]
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(NAMES), st.lists(st.sampled_from(PASSAGES), max_size=3)),
        st.tuples(st.just("delete"), st.sampled_from(NAMES), st.none()),
        st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    ),
    min_size=1,
    max_size=3,
)


def edit(project: Project, kind: str, name: str, value: Any) -> None:
    path = project.notes / name
    if kind == "write":
        project.write({name: f"# 笔记\n{''.join(value)}"})
    elif kind == "delete":
        path.unlink(missing_ok=True)
    elif path.exists():
        (project.notes / value).parent.mkdir(exist_ok=True)
        path.rename(project.notes / value)


@given(rounds=st.lists(EDITS, min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_whatever_the_road_the_same_notes_give_the_same_index(rounds: list[list[tuple[str, str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.write({"stays.md": ATTENTION})
        project.index()
        for edits in rounds:
            for kind, name, value in edits:
                edit(project, kind, name, value)
            project.index()
        incremental = project.published()
        full = index_notes([project.notes], project.root / "fresh", CONFIG, INGEST, encoder=ToyEncoder())
        afresh = verified_manifest(project.root / "fresh", full.snapshot)
        assert hashes(incremental) == hashes(afresh)
        assert (incremental.notes, incremental.counts) == (afresh.notes, afresh.counts)
