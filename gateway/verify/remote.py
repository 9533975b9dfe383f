"""The client's own verifier, at an address on a host that the gateway's operator allows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
from pydantic import BaseModel, StrictBool, ValidationError

from gateway.verify.faults import BadVerifier, VerifierFailed, VerifierNotServed

SECONDS = 10.0
ANSWER_BYTES = 64 << 10
_PORTS = {"http": 80, "https": 443}


class Verified(BaseModel):
    """What a verifier answers."""

    verified: StrictBool


class Remote:
    """Calls verifiers at `hosts`, each `name` (at its scheme's port) or `name:port`; `seconds`: of one call, in all."""

    def __init__(self, hosts: Sequence[str], seconds: float = SECONDS) -> None:
        self._hosts, self._seconds = {host.lower() for host in hosts}, seconds
        self._http = httpx.AsyncClient(
            timeout=seconds,
            trust_env=False,
            # none is followed: it could lead to any host
            follow_redirects=False,
            # none is kept: it would tell one client's verifier of another's
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # what is small as it comes is small
            headers={"accept-encoding": "identity"},
        )

    def check(self, address: str) -> None:
        """Raises VerifierNotServed, or BadVerifier, unless the address is on an allowed host."""
        if not self._hosts:
            detail = "This gateway calls no verifiers: its operator names their hosts in CANDOR_GATEWAY_VERIFIER_HOSTS."
            raise VerifierNotServed(detail, "kind")
        try:
            url = httpx.URL(address)
        except (httpx.InvalidURL, ValueError) as error:
            raise BadVerifier(f"{address!r} is no address: {error}.", "url") from error
        if url.scheme not in _PORTS or url.userinfo:
            raise BadVerifier("A verifier's address begins with http:// or https://, and names no user.", "url")
        # an address of version six has colons of its own
        host = f"[{url.host}]" if ":" in url.host else url.host
        port = url.port or _PORTS[url.scheme]
        names = {f"{host}:{port}"} | ({host} if port == _PORTS[url.scheme] else set())
        if not names & self._hosts:
            raise BadVerifier(f"{host}:{port} is none of the hosts whose verifiers this gateway calls.", "url")

    async def verify(self, address: str, question: str, text: str, answer: str) -> bool:
        """What the verifier says of a sample. Raises VerifierFailed."""
        self.check(address)
        body = {"question": question, "text": text, "answer": answer}
        try:
            # httpx has a timeout of each read, and not of all
            async with asyncio.timeout(self._seconds), self._http.stream("POST", address, json=body) as response:
                said = bytearray()
                async for piece in response.aiter_raw():
                    said += piece
                    if len(said) > ANSWER_BYTES:
                        raise VerifierFailed("it answered more than 64 KiB")
        except TimeoutError as error:
            raise VerifierFailed(f"it took longer than {self._seconds:g} s") from error
        except httpx.HTTPError as error:
            raise VerifierFailed(f"no answer ({type(error).__name__})") from error
        if response.status_code != 200:
            raise VerifierFailed(f"it answered with status {response.status_code}")
        try:
            return Verified.model_validate_json(bytes(said)).verified
        except ValidationError as error:
            raise VerifierFailed('its answer is not {"verified": true} or {"verified": false}') from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
