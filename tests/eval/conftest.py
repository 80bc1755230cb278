"""Fixtures of the evaluation's tests."""

from __future__ import annotations

from tests.eval.small_notes import tea

__all__ = ["tea"]
