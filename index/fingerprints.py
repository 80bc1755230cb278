"""Fingerprints of what a snapshot is built with: only equal ones may search it."""

from __future__ import annotations

import hashlib
import json

from index.calibration_questions import CALIBRATION_QUESTIONS
from index.concept_index import CONCEPTS_VERSION
from index.concepts import concepts_digest, concepts_of
from index.config import IndexConfig
from index.encoder import TextEncoder
from index.late import LATE_VERSION
from index.passages import PASSAGES_VERSION
from index.postings import POSTINGS_VERSION
from index.tokenizer import Tokenizer


def index_fingerprints(config: IndexConfig, encoder: TextEncoder, tokenizer: Tokenizer) -> dict[str, str]:
    """One fingerprint a part. Settings that act at search time only (``ef_search``, k1) are left out.

    Raises ConfigInvalid for a file of concepts that cannot be read.
    """
    return {
        "encoder": encoder.fingerprint,
        "tokenizer": tokenizer.fingerprint,
        "passages": str(PASSAGES_VERSION),
        "dense index": digest(config.dense.model_dump(include={"factory", "ef_construction", "seed"})),
        "lexical index": digest({"version": POSTINGS_VERSION, "expanded": config.lexical.expansion_weight > 0}),
        "late index": digest(
            {
                "version": LATE_VERSION,
                "questions": CALIBRATION_QUESTIONS,
                **config.late.model_dump(include={"enabled", "full_precision_tokens", "centre"}),
            }
        ),
        "concepts": digest(
            {
                "version": CONCEPTS_VERSION,
                "said": concepts_digest(concepts_of(config.concepts)),
                "least named": config.concepts.least_named,
            }
        ),
    }


def digest(settings: dict[str, object]) -> str:
    """Short digest of a JSON-able mapping."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
