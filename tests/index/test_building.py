"""Concepts on their way into the index: only where the notes are of their field, stored with the snapshot."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from index.building import IndexParts, build_parts
from index.concepts import Concept
from index.config import ConceptsConfig, IndexConfig, LateConfig
from index.embedding_cache import EmbeddingCache
from index.errors import ConfigInvalid, IndexCorrupt
from index.fingerprints import index_fingerprints
from index.late import TokenVectors
from index.progress import Unheard
from index.publishing import publish, writing
from index.snapshot import open_current, open_snapshot
from index.tokenizer import Tokenizer
from tests.index.small_concepts import MANY, concept_index, named
from tests.index.small_snapshots import TEXTS, chunk, content
from tests.toys import AskedEncoder, ToyEncoder

CHUNKS = [chunk(number, text) for number, text in enumerate(TEXTS)]
ATTENTION = '{"names": ["自注意力"], "descriptions": ["一句话里的词互相看", "who looks at whom"]}'
BM25 = '{"names": ["BM25"], "descriptions": ["数词频再看稀不稀罕"]}'
UNNAMED = '{"names": ["早停"], "descriptions": ["看着验证分数不涨就收手"]}'
DESCRIPTIONS = ["一句话里的词互相看", "who looks at whom", "数词频再看稀不稀罕"]


@pytest.fixture
def config(tmp_path: Path) -> IndexConfig:
    """Two concepts that one chunk each of three names, and one that none does."""
    (tmp_path / "own.jsonl").write_text(f"{ATTENTION}\n{UNNAMED}\n{BM25}", encoding="utf-8")
    return IndexConfig(
        concepts=ConceptsConfig(built_in=False, files=(tmp_path / "own.jsonl",), least_named=0.5),
    )


def with_concepts(config: IndexConfig, **changed: object) -> IndexConfig:
    return config.model_copy(update={"concepts": config.concepts.model_copy(update=changed)})


def build(config: IndexConfig, folder: Path, encoder: ToyEncoder | None = None) -> IndexParts:
    with EmbeddingCache(folder / "cache") as cache:
        parts, embedded = build_parts(
            CHUNKS,
            cache,
            config,
            encoder=encoder or ToyEncoder(),
            tokenizer=Tokenizer(),
            full=False,
            listener=Unheard(),
        )
    assert embedded == len(CHUNKS)
    return parts


def test_the_concepts_that_chunks_name_are_a_part_with_their_descriptions(config: IndexConfig, tmp_path: Path) -> None:
    encoder = AskedEncoder()
    concepts = build(config, tmp_path, encoder).concepts
    assert concepts is not None
    assert concepts.chunks == len(CHUNKS)
    assert concepts.concepts == (
        Concept(("自注意力",), ("一句话里的词互相看", "who looks at whom")),
        Concept(("BM25",), ("数词频再看稀不稀罕",)),
    )
    assert set(DESCRIPTIONS) <= set(encoder.asked)
    assert "看着验证分数不涨就收手" not in encoder.asked
    asked = encoder.encode_query("who looks at whom")
    found = concepts.matches(TokenVectors(asked.token_vectors, asked.token_ids, "en"), asked.vector)
    assert found[0].names == ("自注意力",)
    relevance = concepts.relevance(found[:1])
    assert (relevance > 0).tolist() == [True, False, False]


@pytest.mark.parametrize(("least", "is_built"), [(0.0, True), (2 / 3, True), (0.67, False)])
def test_notes_that_name_too_few_concepts_have_none(
    least: float, is_built: bool, config: IndexConfig, tmp_path: Path
) -> None:
    encoder = AskedEncoder()
    parts = build(with_concepts(config, least_named=least), tmp_path, encoder)
    assert (parts.concepts is not None) == is_built
    assert bool(set(DESCRIPTIONS) & set(encoder.asked)) == is_built


@pytest.mark.parametrize("disabled", ["concepts", "late interaction", "files"])
def test_without_concepts_or_late_interaction_there_is_no_part(
    disabled: str, config: IndexConfig, tmp_path: Path
) -> None:
    changed = {
        "concepts": with_concepts(config, enabled=False),
        "late interaction": config.model_copy(update={"late": LateConfig(enabled=False)}),
        "files": with_concepts(config, files=(), least_named=0.0),
    }
    encoder = AskedEncoder()
    assert build(changed[disabled], tmp_path, encoder).concepts is None
    assert not set(DESCRIPTIONS) & set(encoder.asked)


def test_a_file_that_is_no_list_of_concepts_is_refused_before_anything_is_encoded(
    config: IndexConfig, tmp_path: Path
) -> None:
    config.concepts.files[0].write_text("过拟合", encoding="utf-8")
    encoder = AskedEncoder()
    with pytest.raises(ConfigInvalid, match=r"own\.jsonl:1"):
        build(config, tmp_path, encoder)
    assert (encoder.encoded, encoder.asked) == ([], [])


def test_a_snapshot_holds_the_concepts(config: IndexConfig, tmp_path: Path) -> None:
    concepts = build(config, tmp_path).concepts
    assert concepts is not None
    data = tmp_path / "data"
    with writing(data):
        publish(data, dataclasses.replace(content(*TEXTS), concepts=concepts))
    snapshot, problem = open_current(data, config)
    snapshot.close()
    assert problem is None
    assert snapshot.concepts is not None
    assert snapshot.concepts.concepts == concepts.concepts
    for text in [*DESCRIPTIONS, "什么是光合作用？"]:
        asked = ToyEncoder().encode_query(text)
        question = TokenVectors(asked.token_vectors, asked.token_ids, "zh")
        found = snapshot.concepts.matches(question, asked.vector)
        assert found == concepts.matches(question, asked.vector)
        assert snapshot.concepts.relevance(found).tolist() == concepts.relevance(found).tolist()


def test_a_snapshot_without_concepts_has_none(tmp_path: Path) -> None:
    with writing(tmp_path):
        publish(tmp_path, content(*TEXTS))
    snapshot, _ = open_current(tmp_path, IndexConfig())
    snapshot.close()
    assert snapshot.concepts is None


@pytest.mark.parametrize("chunks", [2, 4])
def test_concepts_of_another_number_of_chunks_are_refused(chunks: int, tmp_path: Path) -> None:
    concepts = concept_index([named(each) for each in MANY[:3]], chunks=chunks)
    with writing(tmp_path):
        publish(tmp_path, dataclasses.replace(content(*TEXTS), concepts=concepts))
    with pytest.raises(IndexCorrupt, match="same number of rows") as refusal:
        open_snapshot(tmp_path, "000001", IndexConfig())
    assert f"'concepts': {chunks}" in refusal.value.message


def test_the_fingerprint_is_of_what_the_files_say_not_of_where_they_lie(config: IndexConfig, tmp_path: Path) -> None:
    def fingerprints(config: IndexConfig) -> dict[str, str]:
        return index_fingerprints(config, ToyEncoder(), Tokenizer())

    before, path = fingerprints(config), config.concepts.files[0]
    copy = path.rename(tmp_path / "elsewhere.jsonl")
    moved = with_concepts(config, files=(copy,))
    assert fingerprints(moved) == before
    copy.write_text(f"{ATTENTION}\n{UNNAMED}", encoding="utf-8")
    after = fingerprints(moved)
    assert [part for part in before if before[part] != after[part]] == ["concepts"]
    with pytest.raises(ConfigInvalid, match=r"own\.jsonl"):
        fingerprints(config)
