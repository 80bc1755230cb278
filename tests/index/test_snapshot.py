"""Opening a snapshot: every file is verified, and where one is damaged the snapshot before is served, loudly."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from index import snapshot as snapshot_module
from index.errors import DataFolderForeign, IndexCorrupt, IndexIncompatible, IndexMissing
from index.fingerprints import index_fingerprints
from index.shared_hold import SharedHold, removable
from index.snapshot import (
    Manifest,
    check_compatible,
    current_name,
    open_current,
    open_snapshot,
    read_chunks,
    snapshot_names,
    verified_manifest,
    write_chunks,
)
from index.tokenizer import Tokenizer
from tests.index.small_snapshots import CONFIG, TEXTS, chunk, publish_texts, texts_of
from tests.toys import ToyEncoder

FILES = [
    "chunks.jsonl",
    "dense.faiss",
    "glossary.json",
    "late.json",
    "late_codes.npy",
    "late_means.npy",
    "late_offsets.npy",
    "late_scales.npy",
    "lexical_counts.npy",
    "lexical_lengths.npy",
    "lexical_rows.npy",
    "lexical_starts.npy",
    "lexical_vocabulary.json",
]
EVERY_FILE = pytest.mark.parametrize("file", [*FILES, "manifest.json"])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("published")
    publish_texts(data, TEXTS[0])
    publish_texts(data, *TEXTS)
    return data


@pytest.fixture
def data(published: Path, tmp_path: Path) -> Path:
    """Two snapshots: ``000001`` of the first text, ``000002`` of all."""
    return shutil.copytree(published, tmp_path / "data")


def folder_of(data: Path, name: str = "000002") -> Path:
    return data / "snapshots" / name


def test_what_was_published_is_what_is_opened(data: Path) -> None:
    snapshot, problem = open_current(data, CONFIG)
    assert problem is None
    assert snapshot.name == "000002"
    assert texts_of(snapshot) == list(TEXTS)
    assert snapshot.chunks[0] == chunk(0, TEXTS[0])
    assert sorted(snapshot.manifest.files) == FILES
    snapshot.close()


def test_a_snapshot_of_nothing_is_published_and_opened(tmp_path: Path) -> None:
    publish_texts(tmp_path)
    snapshot, problem = open_current(tmp_path, CONFIG)
    assert problem is None
    assert texts_of(snapshot) == []
    assert snapshot.lexical.search(["词"], 3) == []
    assert snapshot.dense.search(ToyEncoder().encode_query("词").vector, 3)[0].tolist() == []
    snapshot.close()


def flip_first(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def flip_middle(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 0x10]) + content[len(content) // 2 + 1 :]


def flip_last(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def cut_one(content: bytes) -> bytes:
    return content[:-1]


def empty(content: bytes) -> bytes:
    return b""


@EVERY_FILE
@pytest.mark.parametrize("damage", [flip_first, flip_middle, flip_last, cut_one, empty, None])
def test_damage_to_any_file_is_refused_by_name_and_the_snapshot_before_is_served(
    data: Path, file: str, damage: Callable[[bytes], bytes] | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder_of(data) / file
    content = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage(content))
    if file == "manifest.json" and damage in (flip_last, cut_one):
        path.write_bytes(damage(content[:-1]))  # its last byte is a line feed, which JSON does not need
    with pytest.raises(IndexCorrupt, match=file) as refusal:
        open_snapshot(data, "000002", CONFIG)
    assert "asknotes index" in refusal.value.hint
    snapshot, problem = open_current(data, CONFIG)
    assert snapshot.name == "000001"
    assert texts_of(snapshot) == [TEXTS[0]]
    assert isinstance(problem, IndexCorrupt)
    assert file in problem.message
    assert "Snapshot 000001 is served instead" in caplog.text
    snapshot.close()


def test_a_file_that_the_manifest_does_not_know_is_refused(data: Path) -> None:
    (folder_of(data) / "late_extra.npy").write_bytes(b"")
    with pytest.raises(IndexCorrupt, match=r"late_extra\.npy"):
        verified_manifest(data, "000002")


def test_where_no_sound_snapshot_is_left_the_published_one_is_named(data: Path) -> None:
    for name in ("000001", "000002"):
        (folder_of(data, name) / "chunks.jsonl").write_bytes(b"")
    with pytest.raises(IndexCorrupt, match="000002"):
        open_current(data, CONFIG)


def edited(data: Path, change: Callable[[dict[str, Any]], None], *, sign: bool) -> None:
    """Change the manifest of 000002; ``sign`` makes its own checksum right again."""
    path = folder_of(data) / "manifest.json"
    body = json.loads(path.read_bytes())
    body.pop("sha256")
    before = hashlib.sha256(snapshot_module._canonical(body)).hexdigest()
    change(body)
    digest = hashlib.sha256(snapshot_module._canonical(body)).hexdigest() if sign else before
    path.write_bytes(snapshot_module._canonical({**body, "sha256": digest}))


def test_a_manifest_changed_by_hand_is_refused(data: Path) -> None:
    edited(data, lambda body: body["counts"].update(notes=9), sign=False)
    with pytest.raises(IndexCorrupt, match="its own checksum"):
        verified_manifest(data, "000002")


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["counts"].update(chunks=4),
        lambda body: body["counts"].pop("chunks"),
        lambda body: body["files"].pop("late_codes.npy"),
        lambda body: body["files"]["late_codes.npy"].update(bytes=1),
        lambda body: body["files"]["late_codes.npy"].pop("sha256"),
        lambda body: body.update(files=[]),
        lambda body: body.update(unknown=1),
        lambda body: body.update(name="000007"),
        lambda body: body.update(notes={"a.md": {}}),
        lambda body: body.pop("fingerprints"),
    ],
)
def test_a_manifest_that_does_not_fit_its_folder_is_refused(
    data: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edited(data, change, sign=True)
    with pytest.raises(IndexCorrupt):
        open_snapshot(data, "000002", CONFIG)


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b"{}", b"\xff\xfe", b'{"sha256": 1}'])
def test_other_content_is_no_manifest(data: Path, content: bytes) -> None:
    (folder_of(data) / "manifest.json").write_bytes(content)
    with pytest.raises(IndexCorrupt, match=r"manifest\.json"):
        verified_manifest(data, "000002")


def test_a_snapshot_under_another_name_is_refused(data: Path) -> None:
    folder_of(data).rename(folder_of(data, "000003"))
    with pytest.raises(IndexCorrupt, match="it belongs to snapshot 000002"):
        open_snapshot(data, "000003", CONFIG)


def test_another_schema_is_incompatible_not_damaged(data: Path) -> None:
    edited(data, lambda body: body.update(schema_version=99), sign=True)
    with pytest.raises(IndexIncompatible, match="schema 99") as refusal:
        open_current(data, CONFIG)
    assert "asknotes index" in refusal.value.hint


@pytest.mark.parametrize("part", ["dense", "lexical", "late"])
def test_parts_of_different_length_are_refused(data: Path, part: str) -> None:
    """Files of the one-chunk snapshot, rightly signed, in the one of three chunks."""
    for path in folder_of(data, "000001").glob(f"{part}*"):
        (folder_of(data) / path.name).write_bytes(path.read_bytes())
    one = verified_manifest(data, "000001").files
    edited(
        data, lambda body: body["files"].update({k: dict(v) for k, v in one.items() if k.startswith(part)}), sign=True
    )
    with pytest.raises(IndexCorrupt, match="same number of rows"):
        open_snapshot(data, "000002", CONFIG)


def test_every_fingerprint_must_be_the_configured_one(data: Path) -> None:
    manifest = verified_manifest(data, "000002")
    ours = index_fingerprints(CONFIG, ToyEncoder(), Tokenizer())
    check_compatible(manifest, ours)
    for part in ours:
        with pytest.raises(IndexIncompatible, match=f"another {part} than") as refusal:
            check_compatible(manifest, {**ours, part: "other"})
        assert "`asknotes index '/my notes/ai' /other`" in refusal.value.hint
    with pytest.raises(IndexIncompatible, match="another chunker than"):
        check_compatible(manifest, {**ours, "chunker": "never recorded"})


@pytest.mark.parametrize(
    ("section", "setting", "value", "part"),
    [
        ("dense", "factory", "HNSW32", "dense index"),
        ("dense", "seed", 5, "dense index"),
        ("dense", "ef_construction", 99, "dense index"),
        ("late", "enabled", False, "late index"),
        ("late", "full_precision_tokens", 1, "late index"),
        ("late", "centre", False, "late index"),
        ("dense", "ef_search", 99, None),
        ("dense", "nprobe", 99, None),
        ("lexical", "engine", "rank-bm25", None),
        ("lexical", "k1", 1.2, None),
        ("lexical", "heading_weight", 3.0, None),
        ("lexical", "expansion_weight", 1.0, "lexical index"),
        ("late", "exhaustive_tokens", 1, None),
        ("late", "idf_power", 1.0, None),
        ("concepts", "enabled", False, "concepts"),
        ("concepts", "built_in", False, "concepts"),
        ("concepts", "least_named", 2.0, "concepts"),
    ],
)
def test_settings_that_shape_the_index_change_its_fingerprint_and_others_do_not(
    section: str, setting: str, value: object, part: str | None
) -> None:
    changed = CONFIG.model_copy(update={section: getattr(CONFIG, section).model_copy(update={setting: value})})
    before, after = (index_fingerprints(config, ToyEncoder(), Tokenizer()) for config in (CONFIG, changed))
    assert [key for key in before if before[key] != after[key]] == ([part] if part else [])
    other_encoder = index_fingerprints(CONFIG, ToyEncoder(version=1), Tokenizer())
    assert [key for key in before if before[key] != other_encoder[key]] == ["encoder"]


def test_before_anything_is_published_the_command_is_named(tmp_path: Path) -> None:
    for data in (tmp_path, tmp_path / "missing"):
        with pytest.raises(IndexMissing) as refusal:
            open_current(data, CONFIG)
        assert f"asknotes index NOTES_FOLDER --data {data}" in refusal.value.hint


@pytest.mark.parametrize("content", ["", "latest\n", "../../etc", "1", "-00001", "٠٠٠٠٠١"])
def test_a_current_file_of_something_else_is_refused(data: Path, content: str) -> None:
    (data / "CURRENT").write_text(content)
    with pytest.raises(DataFolderForeign, match="something else wrote it"):
        open_current(data, CONFIG)


def test_a_current_file_that_is_no_text_is_refused(data: Path) -> None:
    (data / "CURRENT").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(IndexCorrupt, match="CURRENT"):
        current_name(data)


def test_a_current_file_that_names_a_missing_snapshot_leads_to_the_newest(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data / "CURRENT").write_text("000009\n")
    snapshot, problem = open_current(data, CONFIG)
    assert (snapshot.name, type(problem)) == ("000002", IndexMissing)
    assert "000009" in caplog.text
    snapshot.close()


def test_names_are_ordered_by_number(tmp_path: Path) -> None:
    assert snapshot_names(tmp_path) == []
    for name in ("1000000", "999999", "000012", ".building-000013", "notes", "12"):
        folder_of(tmp_path, name).mkdir(parents=True)
    assert snapshot_names(tmp_path) == ["000012", "999999", "1000000"]


def test_an_open_snapshot_holds_its_folder_until_it_is_closed(data: Path) -> None:
    snapshot = open_snapshot(data, "000002", CONFIG)
    with removable(folder_of(data)) as free:
        assert not free
    snapshot.close()
    with removable(folder_of(data)) as free:
        assert free


def test_a_snapshot_that_is_refused_is_not_held(data: Path) -> None:
    (folder_of(data) / "late.json").unlink()
    with pytest.raises(IndexCorrupt):
        open_snapshot(data, "000002", CONFIG)
    with removable(folder_of(data)) as free:
        assert free


def test_a_snapshot_pruned_while_it_is_opened_gives_way_to_the_new_one(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two publishes come between reading CURRENT and taking hold of the folder."""
    hold, published = SharedHold, list[str]()

    def late(folder: Path) -> object:
        if not published:
            published.extend([publish_texts(data, "新一"), publish_texts(data, "新二")])
        return hold(folder)

    monkeypatch.setattr(snapshot_module, "SharedHold", late)
    snapshot, problem = open_current(data, CONFIG)
    assert published == ["000003", "000004"]
    assert not folder_of(data).exists()
    assert (snapshot.name, problem) == ("000004", None)
    snapshot.close()


def test_chunks_are_read_as_they_were_written(tmp_path: Path) -> None:
    chunks = [chunk(0, "行\r\n二\u2028三 \x85 \x00 \"'\\"), chunk(1, "")]
    write_chunks(tmp_path / "chunks.jsonl", chunks)
    assert read_chunks(tmp_path / "chunks.jsonl") == chunks


@pytest.mark.parametrize("line", ["", "[]", '"x"', "{}", '{"id": 1}', "\x00"])
def test_a_line_that_is_no_chunk_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "chunks.jsonl").write_text(line + "\n")
    with pytest.raises(IndexCorrupt, match=r"chunks\.jsonl"):
        read_chunks(tmp_path / "chunks.jsonl")


@pytest.mark.parametrize("version", [0, 99])
def test_a_manifest_of_another_schema_still_says_what_was_indexed(data: Path, version: int) -> None:
    edited(data, lambda body: body.update(schema_version=version), sign=True)
    assert Manifest.sources_in(folder_of(data) / "manifest.json") == ("/my notes/ai", "/other")


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe", b"[]", b"{}", b'{"sources": "/a"}', b'{"sources": [1]}', b'{"sources": null}']
)
def test_a_manifest_that_cannot_be_read_names_no_sources(data: Path, content: bytes | None) -> None:
    path = folder_of(data) / "manifest.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert Manifest.sources_in(path) == ()


def test_a_manifest_is_read_as_it_was_written(data: Path) -> None:
    manifest = Manifest.read(folder_of(data) / "manifest.json")
    assert manifest.to_json() == (folder_of(data) / "manifest.json").read_bytes()
