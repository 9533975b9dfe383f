"""The text of a completion's choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.evaluation.suites.base import BadAnswer


def said(choice: Mapping[str, Any]) -> str:
    """The text of a choice, of a chat or not. Raises KeyError or TypeError for no choice, and BadAnswer without a text.

    A refusal and a call of a tool have none (null): they are no wrong answers, and scored as such they would not show.
    Of an answer that the budget ended before it began, as long thinking does, the text is empty: it is `truncated`, and
    left out it would flatter a model that thinks too long.
    """
    message = choice["message"] if "message" in choice else {"content": choice["text"]}
    if (text := message["content"]) is None and choice.get("finish_reason") == "length":
        return ""
    if not isinstance(text, str):
        why = f", and the refusal {refusal[:200]!r}" if isinstance(refusal := message.get("refusal"), str) else ""
        raise BadAnswer(f"the answer has no text, finish_reason {str(choice.get('finish_reason'))[:40]!r}{why}")
    return text
