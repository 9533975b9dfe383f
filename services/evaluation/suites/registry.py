"""The suites that can be run."""

from __future__ import annotations

from services.evaluation.suites.base import Suite
from services.evaluation.suites.rag_qa import RagQa
from services.evaluation.suites.retrieval import RetrievalSuite

SUITES: dict[str, Suite] = {suite.id: suite for suite in (RagQa(), RetrievalSuite())}
"""By id, in the order in which they are listed."""
