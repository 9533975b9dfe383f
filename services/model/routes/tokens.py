"""POST /tokenize and /detokenize, GET /tokenizer_info: at vLLM's paths and in its shapes, which clients know."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from services.model.errors import UnknownModel
from services.model.routes.dependencies import Service
from services.model.serving import tokens
from shared.contracts.model import Detokenized, DetokenizeRequest, TokenizeRequest, TokenizerInfo, Tokens
from shared.http.errors import InvalidRequest, NotReady, problems

router = APIRouter(tags=["tokens"], responses=problems(InvalidRequest, UnknownModel, NotReady))


@router.post("/tokenize")
async def tokenize(body: TokenizeRequest, service: Service) -> Tokens:
    """The tokens of a prompt, or of messages under the chat template."""
    # in a thread: long texts take long to tokenise
    return await asyncio.to_thread(tokens.tokenize, service, body)


@router.post("/detokenize")
async def detokenize(body: DetokenizeRequest, service: Service) -> Detokenized:
    """The text of tokens, special ones too."""
    return await asyncio.to_thread(tokens.detokenize, service, body)


@router.get("/tokenizer_info")
async def tokenizer_info(service: Service) -> TokenizerInfo:
    """The special tokens and the chat template: with these paths lm-eval needs no tokenizer of its own."""
    return tokens.tokenizer_info(service)
