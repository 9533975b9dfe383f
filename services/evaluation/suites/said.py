"""The text of a completion's choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.evaluation.suites.base import BadAnswer


def said(choice: Mapping[str, Any]) -> str:
    """The text of a choice, of a chat or not. Raises KeyError or TypeError for no choice, and BadAnswer without a text.

    A refusal, a call of a tool and thinking that the budget ended have none (null). An empty text is an answer, and a
    wrong one; these are not, and scored as one they would not show.
    """
    message = choice["message"] if "message" in choice else {"content": choice["text"]}
    if not isinstance(text := message["content"], str):
        why = f", and the refusal {refusal[:200]!r}" if isinstance(refusal := message.get("refusal"), str) else ""
        raise BadAnswer(f"the answer has no text, finish_reason {str(choice.get('finish_reason'))[:40]!r}{why}")
    return text
