"""Whether an endpoint really returns the log-probabilities of a prompt.

One that ignores `echo` gives the harness scores of chance, and no error.
"""

from __future__ import annotations

from typing import Any

from services.evaluation.endpoint import Endpoint, EndpointError

LIKELY, UNLIKELY = "The sun rises in the east and sets in the west.", "west sets the the and. in sun in rises east The"
"""The same words in and out of order: any language model finds the first more probable."""


async def probe(endpoint: Endpoint, model: str) -> None:
    """Raises EndpointError that says what is missing."""
    sums = [await _sum(endpoint, model, text) for text in (LIKELY, UNLIKELY)]
    if sums[0] <= sums[1]:
        raise EndpointError(
            f"{endpoint.url} echoes log-probabilities that are no language model's: a sentence has {sums[0]:.1f} nats "
            f"and its words out of order {sums[1]:.1f}. Tasks of log-likelihood would score by chance."
        )


async def check_tokenizer(endpoint: Endpoint) -> None:
    """The harness asks by token ids. Raises EndpointError where the endpoint does not tell them: it would then look for
    the tokenizer on a hub."""
    try:
        await endpoint.get("/tokenizer_info")
    except EndpointError as error:
        raise EndpointError(
            f"{endpoint.url} does not tell its tokenizer ({error}), and lm-eval asks completions by token ids. vLLM "
            "tells it with --enable-tokenizer-info-endpoint; tasks that only generate run with options.chat."
        ) from error


async def _sum(endpoint: Endpoint, model: str, text: str) -> float:
    body = {"model": model, "prompt": text, "echo": True, "logprobs": 1, "max_tokens": 0, "temperature": 0}
    reply = await endpoint.post("/v1/completions", body, item="probe-echo")
    try:
        said: dict[str, Any] = reply.body["choices"][0]["logprobs"]
        tokens, logprobs = said["tokens"], said["token_logprobs"]
        known, said_again = [float(one) for one in logprobs[1:]], "".join(tokens)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EndpointError(_missing(endpoint, "it sends none")) from error
    if len(tokens) != len(logprobs) or len(tokens) < 4 or not said_again.strip().endswith(text[-5:]):
        raise EndpointError(_missing(endpoint, "they are not the prompt's"))
    return sum(known)


def _missing(endpoint: Endpoint, what: str) -> str:
    return (
        f"{endpoint.url}/v1/completions does not return the log-probabilities of a prompt (`echo` with `logprobs`): "
        f"{what}. Tasks of log-likelihood would score by chance; tasks that only generate run with options.chat."
    )
