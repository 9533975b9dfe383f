"""What the model is told: the conversation as it is, and in its last question the passages to read."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.candor import ReadPassage
from shared.contracts.openai import Message
from shared.http.errors import InvalidRequest

SHORT_TURN = 6
"""A question of fewer words leans on the one before it."""
LONGEST_QUERY = 300
"""Words of a query; encoders read no more, and the question is at the end."""

ASK = "Use the text above to answer in a few words: {question}"
DIRECT = "{question}\nAnswer in a few words."


def question(messages: Sequence[Message]) -> str:
    """The last user's turn. Raises InvalidRequest when there is none, or it is empty."""
    turns = _user_turns(messages)
    if not turns:
        raise InvalidRequest("`messages` has no message with the role 'user'.", field="messages")
    if not turns[-1].strip():
        raise InvalidRequest("The last user's message is empty.", field="messages")
    return turns[-1].strip()


def search_query(messages: Sequence[Message]) -> str:
    """What to search for: the last user's turn, after the turn before it when it is short."""
    turns = _user_turns(messages)
    words = turns[-1].split()
    if len(words) < SHORT_TURN and len(turns) > 1:
        words = turns[-2].split() + words
    return " ".join(words[-LONGEST_QUERY:])


def compose(messages: Sequence[Message], passages: Sequence[ReadPassage], *, direct: bool) -> list[Message]:
    """The messages for the model. `direct` asks for a short answer in so many words.

    Passages stand in reverse order, the best next to the question (CompactDS, Lyu et al. 2025), each under its
    rank, which is the n of its citations.
    """
    told = [message.model_copy(update={"content": message.text(), "role": _role(message)}) for message in messages]
    last = max(index for index, message in enumerate(told) if message.role == "user")
    asked = told[last].text().strip()
    if passages:
        read = "\n\n".join(f"[{passage.n}] {passage.text}" for passage in reversed(passages))
        asked = f"{read}\n\n{ASK.format(question=asked) if direct else asked}"
    elif direct:
        asked = DIRECT.format(question=asked)
    told[last] = told[last].model_copy(update={"content": asked})
    return told


def _user_turns(messages: Sequence[Message]) -> list[str]:
    return [message.text() for message in messages if message.role == "user"]


def _role(message: Message) -> str:
    """Chat templates know OpenAI's newer name of the system role by its older one."""
    return "system" if message.role == "developer" else message.role
