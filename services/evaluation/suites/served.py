"""What a stack says of itself before a run begins."""

from __future__ import annotations

from services.evaluation.endpoint import Endpoint, EndpointError


async def served(endpoint: Endpoint, model: str | None) -> dict[str, str]:
    """Versions of what answers. Raises EndpointError if nothing does, or if it does not serve the model."""
    listed = (await endpoint.get("/v1/models")).body.get("data") or []
    names = [str(one.get("id")) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if model is not None and names and model not in names:
        raise EndpointError(f"{endpoint.url} does not serve {model!r}. Served: {', '.join(names)}.")
    versions = {"endpoint": endpoint.url}
    try:
        experts = (await endpoint.get("/v1/experts")).body
    except EndpointError:
        # not a Candor stack: it has no experts
        return versions
    return {**versions, "weights": f"{experts.get('model')}/{experts.get('architecture')}"}
