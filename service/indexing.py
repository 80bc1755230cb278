"""An index run with the settings of this process: what ``asknotes index`` and ``POST /v1/index`` both do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from index import weights
from index.encoder import open_encoder
from index.progress import ProgressListener
from ingest.pipeline import IndexSummary, index_notes
from service.settings import Settings


def run_index(settings: Settings, paths: Sequence[Path], *, full: bool, listener: ProgressListener) -> IndexSummary:
    """Index ``paths``, or the configured notes, or those of the published snapshot: the first that is given.

    Raises what open_encoder and index_notes raise; what was published before stays.
    """
    encoder = open_encoder(settings.index.encoder, cache=weights.cache_folder(settings.index.models_cache))
    return index_notes(
        paths or settings.notes or (),
        settings.data,
        settings.index,
        settings.ingest,
        encoder=encoder,
        full=full,
        listener=listener,
    )
