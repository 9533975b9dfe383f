"""OLMoE's analyses of the texts of a request."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Sequence
from pathlib import Path

from services.model.analysis.report import Against, Model, report
from services.model.analysis.routed import routed
from services.model.engines.base import EngineFailed, RouteTask, Routing
from services.model.errors import ContextLengthExceeded, UnknownCheckpoint
from services.model.service import ModelService
from services.model.serving.routing import route
from services.model.serving.streams import RETRY_SECONDS, GenerationFailed
from shared.contracts.model import Expert
from shared.contracts.routing import AnalysisRequest, RoutingAnalysis
from shared.http.errors import InvalidRequest, Overloaded
from shared.settings import candor_home

MOST_TOKENS = 32_768
"""Tokens of all texts: the routing of all of them is in memory, and running samples wait between their batches."""

Texts = dict[str, list[list[int]]]

_second_model = threading.Lock()
"""Held while a second checkpoint is in memory: there is room for one."""


async def analyse_texts(service: ModelService, body: AnalysisRequest) -> RoutingAnalysis:
    """Analyse a request's texts. Raises the errors of unknown names, a bad field, long texts, a busy model."""
    allowed = service.mask(body.model, body.experts, "experts")
    experts = [expert for expert in service.experts.listed if expert.index in allowed]
    folder = _folder(body.against) if body.against else None
    texts = await asyncio.to_thread(_tokens, service, body)
    flat = [tokens for domain in texts.values() for tokens in domain]
    found = await route(service, [RouteTask(tuple(tokens), allowed, predict=True) for tokens in flat])
    other = await asyncio.to_thread(_against, service, folder, flat, experts) if folder else None
    model = Model(body.model, service.engine.info.active, service.applied(allowed), experts, service.tokenizer.name)
    return await asyncio.to_thread(_report, model, texts, found, body.least, other)


def _folder(name: str) -> Path:
    models = candor_home() / "models"
    known = sorted(config.parent.name for config in models.glob("*/config.json"))
    if name not in known:
        raise UnknownCheckpoint(name, known, "against")
    return models / name


def _tokens(service: ModelService, body: AnalysisRequest) -> Texts:
    texts: Texts = {}
    total, limit = 0, service.engine.info.max_length
    for domain, own in body.texts.items():
        texts[domain] = []
        for place, text in enumerate(own):
            tokens = service.tokenizer.encode(text)
            field = f"texts.{domain}.{place}"
            service.check_tokens(tokens, field)
            if len(tokens) > limit:
                raise ContextLengthExceeded(limit, len(tokens), 0, field)
            texts[domain].append(tokens)
            total += len(tokens)
            if total > MOST_TOKENS:
                detail = f"The texts up to {field} have {total} tokens; at most {MOST_TOKENS} are analysed at once."
                raise InvalidRequest(detail, field="texts")
    return texts


def _against(service: ModelService, folder: Path, texts: Sequence[Sequence[int]], experts: Sequence[Expert]) -> Against:
    if not _second_model.acquire(blocking=False):
        raise Overloaded("Another analysis has a second checkpoint in memory.", retry_after=RETRY_SECONDS)
    try:
        # not at the top: it imports torch, and the port is to be bound before
        module = importlib.import_module("services.model.analysis.against")
        names = {expert.id: expert.index for expert in experts}
        other: Against = module.against(folder, service.settings, texts, names, service.tokenizer.bytes_of)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"The checkpoint {folder.name!r} cannot be compared: {error}.", field="against") from error
    except EngineFailed as error:
        raise GenerationFailed(f"The checkpoint {folder.name!r} failed: {error}.") from error
    finally:
        _second_model.release()
    return other


def _report(model: Model, texts: Texts, found: Sequence[Routing], least: int, other: Against | None) -> RoutingAnalysis:
    rest = iter(found)
    domains = {name: routed(own, [next(rest) for _ in own]) for name, own in texts.items()}
    try:
        return report(model, domains, least, other)
    except ValueError as error:
        raise InvalidRequest(f"The checkpoints cannot be compared: {error}.", field="against") from error
