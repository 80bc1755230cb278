"""Searching a corpus of documents: a throw-away index of their chunks, and documents ranked by their best chunk."""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from eval.beir import BeirSet, Document
from eval.compare import TESTED, compare_systems
from eval.gold import GoldInvalid, Question
from eval.indexes import Indexes, OpenedIndex, PreparedIndex
from eval.memory_snapshot import in_memory_snapshot
from eval.metrics import DEPTH, document_measures
from eval.provenance import provenance
from eval.results import RetrievalResults, ShownHit, SystemResult
from eval.retrieval import summary_of
from eval.run import SHOWN_CHARS, SHOWN_HITS, SystemRun, run_systems, search_with, system_result
from eval.systems import System
from index.building import build_parts
from index.durable import replace_file, storage_errors
from index.embedding_cache import EmbeddingCache
from index.encoder import TextEncoder
from index.progress import ProgressListener
from index.schema import Chunk, Hit, Note, chunk_id
from index.tokenizer import Tokenizer
from ingest.chunker import chunk_note
from ingest.clean import clean_note
from ingest.language import language_of
from ingest.questions import QuestionWriter, written_questions
from service.settings import Settings

RANKED = 100
"""Documents kept of a ranking, where the settings' depth reaches so many."""

_CHUNKS = 1_000  # more than any depth finds


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document as far down as its best chunk; scores fall strictly, also in single precision."""

    id: str
    score: float
    hit: Hit


@dataclass(frozen=True, slots=True)
class CorpusEvaluation:
    """What was found out, and each system's ranking of documents for each query id."""

    results: RetrievalResults
    rankings: Mapping[str, Mapping[str, Sequence[RankedDocument]]]


class CorpusSource:
    """An index of a corpus in memory, dropped when it is closed; only the embeddings are kept."""

    def __init__(self, documents: Sequence[Document], folder: Path) -> None:
        self._documents = documents
        self._folder = folder
        self.kept_whole = 0
        """Documents of which cleaning left nothing to index, so that they were indexed as they are."""

    def open(
        self,
        settings: Settings,
        fingerprints: Mapping[str, str],  # noqa: ARG002 — what is never found again needs no mark
        *,
        encoder: TextEncoder,
        tokenizer: Tokenizer,
        cache: EmbeddingCache,
        listener: ProgressListener,
        writer: QuestionWriter | None = None,
    ) -> OpenedIndex:
        """Chunk and index every document; none is folded into another, and none is left without a chunk."""
        started = time.monotonic()
        chunks = list(self._chunks(settings, encoder, listener))
        parts, _ = build_parts(
            chunks,
            cache,
            settings.index,
            encoder=encoder,
            tokenizer=tokenizer,
            full=False,
            listener=listener,
            written={} if writer is None else written_questions(chunks, writer, cache.folder, listener),
        )
        late = parts.late.bytes_per_chunk * len(chunks) if parts.late else 0
        vectors = 4 * parts.dense.dimension * len(chunks)
        return OpenedIndex(
            in_memory_snapshot(chunks, parts, self._folder), int(late) + vectors, time.monotonic() - started
        )

    def _chunks(self, settings: Settings, encoder: TextEncoder, listener: ProgressListener) -> Iterable[Chunk]:
        self.kept_whole = 0
        listener.start("reading documents", len(self._documents))
        for document in self._documents:
            note = Note(
                path=document.id,
                text=document.text,
                sha256=hashlib.sha256(document.text.encode()).hexdigest(),
                title=document.title,
            )
            found = chunk_note(note, clean_note(note), settings.ingest.chunker, encoder.count_tokens).chunks
            if not found:
                self.kept_whole += 1
                found = [_whole(note)]
            yield from found
            listener.advance(1)
        listener.finish()


def _whole(note: Note) -> Chunk:
    return Chunk(
        id=chunk_id(note.path, (), note.text),
        note=note.path,
        heading=(),
        text=note.text,
        lines=(1, note.text.count("\n") + 1),
        title=note.title,
        language=language_of(note.text),
    )


def evaluate_corpus(
    beir: BeirSet,
    systems: Sequence[System],
    settings: Settings,
    *,
    listener: ProgressListener,
    tested: Sequence[str] = TESTED,
) -> CorpusEvaluation:
    """Index the corpus, ask every judged query of every system, measure and compare.

    Raises GoldInvalid for a corpus of fewer than ten documents, SystemsInvalid and what indexing raises.
    """
    if len(beir.documents) < DEPTH:
        raise GoldInvalid(
            f"{beir.gold.path}: has {len(beir.documents)} documents: the best {DEPTH} of them say nothing.",
            hint="Evaluate on a larger corpus.",
        )
    with tempfile.TemporaryDirectory() as folder:
        source = CorpusSource(beir.documents, Path(folder))
        with Indexes(source, settings, listener) as indexes:
            runs = run_systems(systems, beir.gold.questions, indexes, settings, listener, top_k=_CHUNKS)
            rankings = {run.system.name: _rankings(run, beir) for run in runs}
            results = [_result(run, rankings[run.system.name], beir) for run in runs]
            return CorpusEvaluation(
                RetrievalResults(
                    gold=summary_of(beir.gold),
                    systems=results,
                    comparisons=compare_systems(results, tested),
                    provenance=provenance(settings),
                    notices=_notices(beir, source),
                ),
                rankings,
            )


def _rankings(run: SystemRun, beir: BeirSet) -> dict[str, list[RankedDocument]]:
    """Rank documents by their best chunk; where those found have fewer than ten, look deeper for the rest."""
    deeper = _deeper(run.index, len(beir.documents))
    rankings = {}
    for question in beir.gold.questions:
        hits = list(run.hits[question.id])
        if len({hit.chunk.note for hit in hits}) < DEPTH:
            hits += search_with(run.system, deeper, question.text, _CHUNKS)[0]
        rankings[question.id] = _documents(hits)
    return rankings


def _deeper(index: PreparedIndex, documents: int) -> PreparedIndex:
    """Return the same index searched so deep that ten documents must be among the chunks found, if it finds any."""
    per_document = Counter(chunk.note for chunk in index.tools.snapshot.chunks)
    enough = sum(count for _, count in per_document.most_common(min(DEPTH, documents)))
    fusion = index.tools.index.fusion
    deep = fusion.model_copy(update={"depth": max(fusion.depth, enough)})
    return replace(index, tools=replace(index.tools, index=index.tools.index.model_copy(update={"fusion": deep})))


def _documents(hits: Iterable[Hit]) -> list[RankedDocument]:
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.chunk.note, hit)
    ranked: list[RankedDocument] = []
    below = np.float32(np.inf)
    for document, hit in itertools.islice(best.items(), RANKED):
        # Whoever scores the run again sorts by score, some in single precision: equal scores would be put in another
        # order than ours.
        score = min(np.float32(hit.score), np.nextafter(below, np.float32(-np.inf)))
        ranked.append(RankedDocument(document, float(score), hit))
        below = score
    return ranked


def _result(run: SystemRun, rankings: Mapping[str, Sequence[RankedDocument]], beir: BeirSet) -> SystemResult:
    measured = document_measures(
        {query: [document.id for document in ranked] for query, ranked in rankings.items()},
        {question.id: question.relevant for question in beir.gold.questions},
    )
    shown = {
        question.id: [_shown(rank, one, question) for rank, one in enumerate(rankings[question.id][:SHOWN_HITS], 1)]
        for question in beir.gold.questions
    }
    return system_result(run, beir.gold, measured, shown=shown)


def _shown(rank: int, document: RankedDocument, question: Question) -> ShownHit:
    chunk = document.hit.chunk
    return ShownHit(
        rank=rank,
        chunk_id=chunk.id,
        note=chunk.note,
        heading=chunk.heading,
        lines=document.hit.lines,
        score=document.score,
        text=document.hit.text[:SHOWN_CHARS],
        holds=(0,) if document.id in question.relevant else (),
    )


def _notices(beir: BeirSet, source: CorpusSource) -> list[str]:
    notices = []
    if beir.unjudged:
        notices.append(f"{beir.unjudged} queries have no document judged relevant and were not asked.")
    if source.kept_whole:
        notices.append(f"Cleaning left nothing of {source.kept_whole} documents: they were indexed as they are.")
    if len(beir.documents) < RANKED:
        notices.append(f"The corpus has {len(beir.documents)} documents: recall@{RANKED} is that of all of them.")
    return notices


def write_run(path: Path, rankings: Mapping[str, Sequence[RankedDocument]]) -> None:
    """Write one JSON line a query, ``{"id", "hits": [{doc_id, score}]}``, best first; raises StorageFailed."""
    lines = [
        json.dumps(
            {"id": query, "hits": [{"doc_id": one.id, "score": one.score} for one in ranked]}, ensure_ascii=False
        )
        for query, ranked in rankings.items()
    ]
    with storage_errors(f"Writing {path}"):
        replace_file(path, "".join(f"{line}\n" for line in lines).encode())
