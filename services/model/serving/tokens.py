"""Tokenisation: what the model reads of a text or a conversation, and the text of its tokens."""

from __future__ import annotations

from services.model.service import ModelService
from services.model.serving.prompts import conversation
from shared.contracts.model import Detokenized, DetokenizeRequest, TokenizeRequest, TokenizerInfo, Tokens


def tokenize(service: ModelService, body: TokenizeRequest) -> Tokens:
    """The tokens of a prompt, or of messages. Raises UnknownModel, and InvalidRequest for refused messages."""
    _check_model(service, body.model)
    if body.messages is not None:
        answer = body.add_generation_prompt is not False
        tokens = conversation(service, body.messages, body.continue_final_message, "continue_final_message", answer)
    else:
        tokens = service.tokenizer.encode(body.prompt or "", special=body.add_special_tokens is not False)
    pieces = service.tokenizer.pieces(tokens) if body.return_token_strs else None
    limit = service.engine.info.max_length
    return Tokens(count=len(tokens), max_model_len=limit, tokens=tokens, token_strs=pieces)


def detokenize(service: ModelService, body: DetokenizeRequest) -> Detokenized:
    """The text of tokens. Raises UnknownModel, and InvalidRequest for a token outside the vocabulary."""
    _check_model(service, body.model)
    if body.tokens:
        service.check_tokens(body.tokens, "tokens")
    return Detokenized(prompt=service.tokenizer.decode(body.tokens, special=True))


def tokenizer_info(service: ModelService) -> TokenizerInfo:
    """What a client needs to build prompts for this tokenizer."""
    return TokenizerInfo(**service.tokenizer.special_names(), chat_template=service.tokenizer.template)


def _check_model(service: ModelService, name: str | None) -> None:
    if name is not None:
        service.added(name)
