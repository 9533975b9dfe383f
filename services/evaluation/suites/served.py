"""What a stack says of itself before a run begins."""

from __future__ import annotations

from services.evaluation.endpoint import Endpoint, EndpointError

_UNKNOWN_PATH = (404, 405, 501)
"""What a server that has no such path says of it."""


async def served(endpoint: Endpoint, model: str | None) -> dict[str, str]:
    """Versions of what answers. Raises EndpointError if nothing does, or if it does not serve the model."""
    listed = (await endpoint.get("/v1/models")).body.get("data") or []
    names = [str(one.get("id")) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if model is not None and names and model not in names:
        raise EndpointError(f"{endpoint.url} does not serve {model!r}. Served: {', '.join(names)}.")
    versions = {"endpoint": endpoint.url}
    if endpoint.model is not None:
        # named as no Candor stack: it has no experts
        return versions
    try:
        experts = (await endpoint.get("/v1/experts")).body
    except EndpointError as error:
        # of any other error nothing is known: without its weights a resumed run could not tell that they are others
        if error.status not in _UNKNOWN_PATH:
            raise
        return versions
    return {**versions, "weights": f"{experts.get('model')}/{experts.get('architecture')}"}
