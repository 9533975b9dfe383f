"""POST /v1/chat/completions."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from services.model.errors import ContextLengthExceeded, UnknownExpert
from services.model.protected import NothingToProtect
from services.model.routes.dependencies import Service
from services.model.routes.frames import frames
from services.model.serving.chat import Chat
from shared.contracts.model import ExpertMask, ModelChatCompletion, ModelChatRequest
from shared.http.address import nothing_of
from shared.http.disconnect import until_gone
from shared.http.errors import NotReady, Overloaded, openai_errors
from shared.http.sse import sse

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions",
    response_model=ModelChatCompletion,
    responses=openai_errors(ContextLengthExceeded, UnknownExpert, NothingToProtect, Overloaded, NotReady),
    dependencies=[Depends(nothing_of(ExpertMask))],
)
async def create_chat_completion(
    body: ModelChatRequest, request: Request, service: Service
) -> ModelChatCompletion | StreamingResponse:
    """Answer a conversation n times, with the named experts and the public one; a stream when asked for."""
    chat = await until_gone(request, Chat.start(service, body))
    if body.stream:
        return sse(frames(chat.ended() if body.candor.when_ended else chat.chunks()))
    return await until_gone(request, chat.whole())
