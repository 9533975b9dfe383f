"""Logs: JSON lines on standard error, with the cause of a failure and never the values around it."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs() -> None:
    """Set this process's logs up, unless it has done so already.

    Tracebacks are plain text: structlog's own rendering shows local variables, and so prompts and keys.
    """
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
        # looked up for each line: whoever replaces standard error gets the lines after that, and nothing breaks
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )
