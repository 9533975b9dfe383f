"""Structured logs: a line for each answer, as JSON, without the text of prompts and answers."""

from __future__ import annotations

import logging
import sys

import structlog

from shared.contracts.candor import CandorReport
from shared.http.request_id import request_id

_log = structlog.get_logger("candor.gateway")


def configure_logs() -> None:
    """JSON lines on standard error, unless the process has set its logs up already."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def log_answer(model: str, report: CandorReport) -> None:
    """Who took part and how long it took."""
    _log.info(
        "answered",
        request_id=request_id(),
        id=report.id,
        model=model,
        owners=report.owners.effective,
        passages=len(report.passages),
        samples=len(report.samples),
        tokens=sum(sample.tokens for sample in report.samples),
        spans=len(report.trace.spans) if report.trace else None,
        failed=[stage.stage for stage in report.failed],
        timings=report.timings.model_dump(),
    )
