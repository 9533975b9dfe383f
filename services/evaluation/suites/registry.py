"""The suites that can be run."""

from __future__ import annotations

from services.evaluation.suites.base import Suite
from services.evaluation.suites.rag_qa import RagQa

SUITES: dict[str, Suite] = {suite.id: suite for suite in (RagQa(),)}
"""By id, in the order in which they are listed."""
