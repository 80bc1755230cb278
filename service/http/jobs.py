"""Index runs in the background: one at a time, each with its progress and its end.

A run has a thread of its own, not one of the event loop's, and it is a daemon: publishing is atomic, so that a
shutdown may end it at any point.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from index.errors import AsknotesError
from service.answering.ports import Indexer
from service.http.errors import JobUnknown

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done in a stage."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Job:
    """One index run, as it was at one moment. ``summary`` is set once the snapshot is published."""

    id: str
    full: bool
    request_id: str
    created_at: datetime
    state: Literal["running", "succeeded", "failed"] = "running"
    progress: Progress | None = None
    finished_at: datetime | None = None
    summary: Mapping[str, object] | None = None
    error: Exception | None = None


class IndexJobs:
    """Starts index runs, never two at once, and remembers the latest ``kept`` of them. Thread-safe."""

    def __init__(self, indexer: Indexer, *, published: Callable[[], None], kept: int) -> None:
        self._indexer = indexer
        self._published = published
        self._kept = kept
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, *, full: bool, request_id: str) -> tuple[Job, bool]:
        """Start a run and return it with True, or the one that is running with False."""
        with self._lock:
            latest = self._latest()
            if latest is not None and latest.state == "running":
                return latest, False
            job = Job(id=uuid.uuid4().hex, full=full, request_id=request_id, created_at=datetime.now(UTC))
            self._jobs[job.id] = job
            for old in list(self._jobs)[: -self._kept]:
                del self._jobs[old]
        threading.Thread(target=self._run, args=(job,), name=f"index-job-{job.id}", daemon=True).start()
        return job, True

    def get(self, job_id: str) -> Job:
        """Return a job as it is now; raises JobUnknown."""
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise JobUnknown(
                f"There is no job {job_id!r}.",
                hint=f"The latest {self._kept} jobs of this process are remembered; POST /v1/index starts one.",
            )
        return job

    def latest(self) -> Job | None:
        """Return the newest job, if there was any."""
        with self._lock:
            return self._latest()

    def _latest(self) -> Job | None:
        return next(reversed(self._jobs.values()), None)

    def _run(self, job: Job) -> None:
        try:
            outcome = self._indexer(full=job.full, listener=_JobProgress(self, job.id))
            self.update(job.id, summary=outcome.as_json())
            self._published()
        except AsknotesError as error:
            log.warning("index job %s failed: %s", job.id, error.message)
            self._finish(job.id, error)
        except Exception as error:
            log.exception("index job %s failed", job.id)
            self._finish(job.id, error)
        else:
            self._finish(job.id, None)

    def _finish(self, job_id: str, error: Exception | None) -> None:
        state = "succeeded" if error is None else "failed"
        self.update(job_id, state=state, progress=None, error=error, finished_at=datetime.now(UTC))

    def update(self, job_id: str, **changes: object) -> None:
        """Replace a running job by a changed one."""
        with self._lock:
            self._jobs[job_id] = replace(self._jobs[job_id], **changes)  # type: ignore[arg-type]  # fields of Job


class _JobProgress:
    """Writes an index run's progress into its job."""

    def __init__(self, jobs: IndexJobs, job_id: str) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._progress: Progress | None = None

    def start(self, stage: str, total: int) -> None:
        self._set(Progress(stage, 0, total))

    def advance(self, n: int) -> None:
        if self._progress is not None:
            self._set(replace(self._progress, done=self._progress.done + n))

    def finish(self) -> None:
        self._set(None)

    def _set(self, progress: Progress | None) -> None:
        self._progress = progress
        self._jobs.update(self._job_id, progress=progress)
