"""An index run with the settings of this process: what ``asknotes index`` and ``POST /v1/index`` both do."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from index import weights
from index.encoder import open_encoder
from index.progress import ProgressListener
from ingest.pipeline import IndexSummary, index_notes
from service.language_model import open_language_model
from service.question_writing import question_writer
from service.settings import Settings


def run_index(settings: Settings, paths: Sequence[Path], *, full: bool, listener: ProgressListener) -> IndexSummary:
    """Index ``paths``, or the configured notes, or those of the published snapshot: the first that is given.

    The language model is loaded where it has questions to write (``ingest.questions``), and let go of afterwards.

    Raises what open_encoder and index_notes raise, ConfigInvalid where questions are wanted of no language model,
    WeightsMissing, GenerationFailed; what was published before stays.
    """
    writer = question_writer(settings, functools.partial(open_language_model, settings))
    encoder = open_encoder(settings.index.encoder, cache=weights.cache_folder(settings.index.models_cache))
    return index_notes(
        paths or settings.notes or (),
        settings.data,
        settings.index,
        settings.ingest,
        encoder=encoder,
        writer=writer,
        full=full,
        listener=listener,
    )
