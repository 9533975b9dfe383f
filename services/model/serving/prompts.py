"""Conversations as the model reads them."""

from __future__ import annotations

from collections.abc import Sequence

from services.model.service import ModelService
from shared.contracts.openai import Message
from shared.http.errors import InvalidRequest


def conversation(
    service: ModelService,
    messages: Sequence[Message],
    continued: bool,
    field: str,
    answer: bool = True,
    *,
    control: Sequence[str] = (),
) -> list[int]:
    """The tokens of a conversation, up to where the assistant goes on with its last message or begins an answer.

    `field` is where the request says that it is `continued`; `control`: its control tokens. Raises InvalidRequest.
    """
    if continued and messages[-1].role != "assistant":
        detail = "continue_final_message continues an assistant's message, but the last one is not."
        raise InvalidRequest(detail, field=field)
    # templates know only the older name of the developer's role
    turns = [("system" if m.role == "developer" else m.role, m.text()) for m in messages]
    try:
        if continued and control:
            return service.tokenizer.begun(turns[:-1], turns[-1][1], control)
        return service.tokenizer.conversation(turns, continue_last=continued, answer=answer)
    except ValueError as error:
        raise InvalidRequest(f"The messages cannot be put to the model: {error}.", field="messages") from error
