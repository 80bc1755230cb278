"""Drafting gold questions over a person's own notes: the program picks the sentences, a language model asks about them.

Every draft is checked by program and written for a person to edit: the key facts and the answer are theirs to give.
What was rejected is counted and kept beside the drafts, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.drafting.checks import drafted_question, rejection
from eval.drafting.prompts import draft_prompts
from eval.drafting.sentences import Candidate, Candidates
from eval.gold import check_quotes, read_gold
from index.durable import replace_file, storage_errors
from index.errors import AsknotesError
from index.schema import Note
from index.tokenizer import Tokenizer
from ingest.language import language_of
from service.answering.generator import LanguageModel

DRAFTED = "drafted"
REJECTED_SUFFIX = ".rejected.jsonl"
_MAX_NEW_TOKENS = 64
_SENTENCES_PER_DRAFT = 4
"""So many sentences are tried for each draft that is wanted, and no more: a model that cannot do it ends too."""


class DraftingRefused(AsknotesError):
    """Drafts that cannot be made or must not be written."""

    type = "drafting_refused"


@dataclass(frozen=True, slots=True)
class Draft:
    """A question that passed every check."""

    question: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class RejectedDraft:
    """A question that did not, and why."""

    question: str
    candidate: Candidate
    reason: str


@dataclass(frozen=True, slots=True)
class DraftedGold:
    """What came of drafting: ``tried`` sentences gave the drafts, ``unsuitable`` counts those never tried by reason."""

    drafts: tuple[Draft, ...]
    rejected: tuple[RejectedDraft, ...]
    tried: int
    unsuitable: Mapping[str, int]

    @property
    def reasons(self) -> Mapping[str, int]:
        """How often drafts were rejected, by reason, the commonest first."""
        return dict(Counter(one.reason for one in self.rejected).most_common())

    def as_json(self) -> dict[str, Any]:
        """Return the counts, JSON-ready."""
        return {
            "drafted": len(self.drafts),
            "sentences_tried": self.tried,
            "rejected": dict(self.reasons),
            "sentences_unsuitable": dict(self.unsuitable),
        }


def draft_gold(
    candidates: Candidates, model: LanguageModel, *, count: int, tokenizer: Tokenizer, drafted: Callable[[], None]
) -> DraftedGold:
    """Draft up to ``count`` questions, one a sentence; ``drafted`` is called for each. Raises GenerationFailed.

    Fewer come back where the sentences end, or the model fails at four times as many as are wanted.
    """
    drafts: list[Draft] = []
    rejected: list[RejectedDraft] = []
    tried = 0
    for candidate in candidates.sentences[: count * _SENTENCES_PER_DRAFT]:
        if len(drafts) == count:
            break
        tried += 1
        outcome = _draft(candidate, model, [draft.question for draft in drafts], tokenizer)
        rejected += [one for one in outcome if isinstance(one, RejectedDraft)]
        if isinstance(outcome[-1], Draft):
            drafts.append(outcome[-1])
            drafted()
    return DraftedGold(tuple(drafts), tuple(rejected), tried, candidates.unsuitable)


def _draft(
    candidate: Candidate, model: LanguageModel, accepted: Sequence[str], tokenizer: Tokenizer
) -> list[Draft | RejectedDraft]:
    """Every attempt at one sentence, ending with the first that passes."""
    attempts: list[Draft | RejectedDraft] = []
    for prompt in draft_prompts(candidate):
        written = "".join(model.write(prompt, max_new_tokens=_MAX_NEW_TOKENS, stop=lambda: False))
        question = drafted_question(written)
        reason = rejection(question, candidate, accepted, tokenizer)
        if not reason:
            return [*attempts, Draft(question, candidate)]
        attempts.append(RejectedDraft(question or written.strip(), candidate, reason))
    return attempts


def refuse_to_overwrite(out: Path) -> None:
    """Raise DraftingRefused where a file of drafts is there already: a person may have edited it."""
    for path in (out, rejected_path(out)):
        if path.exists():
            raise DraftingRefused(f"{path} is there already.", hint="Choose another name with --out, or move it away.")


def rejected_path(out: Path) -> Path:
    """Where the rejected drafts go."""
    return out.with_name(out.name.removesuffix(".jsonl") + REJECTED_SUFFIX)


def write_drafts(found: DraftedGold, out: Path, notes: Sequence[Note]) -> None:
    """Write drafts and rejected ones, and read the drafts back as the gold file that they are.

    Raises DraftingRefused where there is no draft, or a file already; StorageFailed; GoldInvalid for a file that is not
    gold, which would be a mistake of this module.
    """
    refuse_to_overwrite(out)
    with storage_errors(f"Writing {rejected_path(out)}"):
        replace_file(rejected_path(out), _lines([_rejected_record(one) for one in found.rejected]))
    if not found.drafts:
        raise DraftingRefused(
            f"Not one of {found.tried} sentences gave a question that passes; {rejected_path(out)} says why.",
            hint="A larger language model (answering.model) asks better questions.",
        )
    with storage_errors(f"Writing {out}"):
        replace_file(out, _lines([_record(number, draft) for number, draft in enumerate(found.drafts, start=1)]))
    check_quotes(read_gold(out), notes)


def _record(number: int, draft: Draft) -> Mapping[str, Any]:
    return {
        "id": f"G{number:03d}",
        "question": draft.question,
        "lang": language_of(draft.question),
        "type": DRAFTED,
        "answerable": True,
        "evidence": [
            {"source": one.source, "quote": one.quote, "group": one.group} for one in draft.candidate.evidence
        ],
        "answer": "",
        "key_facts": [],
    }


def _rejected_record(one: RejectedDraft) -> Mapping[str, Any]:
    return {
        "reason": one.reason,
        "question": one.question,
        "source": one.candidate.note,
        "quote": one.candidate.quote,
        "sentence": one.candidate.sentence,
    }


def _lines(records: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records).encode()
