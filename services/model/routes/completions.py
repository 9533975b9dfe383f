"""POST /v1/completions."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from services.model.errors import ContextLengthExceeded, UnknownExpert
from services.model.protected import NothingToProtect
from services.model.routes.dependencies import Service
from services.model.routes.frames import frames
from services.model.serving.completions import Completion
from shared.contracts.model import ExpertMask, ModelCompletionRequest, ModelTextCompletion
from shared.http.address import nothing_of
from shared.http.disconnect import until_gone
from shared.http.errors import NotReady, Overloaded, openai_errors
from shared.http.sse import sse

router = APIRouter(tags=["completions"])


@router.post(
    "/v1/completions",
    response_model=ModelTextCompletion,
    responses=openai_errors(ContextLengthExceeded, UnknownExpert, NothingToProtect, Overloaded, NotReady),
    dependencies=[Depends(nothing_of(ExpertMask))],
)
async def create_completion(
    body: ModelCompletionRequest, request: Request, service: Service
) -> ModelTextCompletion | StreamingResponse:
    """Continue texts or token ids n times each, with the named experts and the public one."""
    completion = await until_gone(request, Completion.start(service, body))
    if body.stream:
        return sse(frames(completion.chunks()))
    return await until_gone(request, completion.whole())
