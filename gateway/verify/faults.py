"""What can go wrong with a verifier."""

from __future__ import annotations

from shared.http.errors import CandorError

FIELD = "candor.sampling.verifier"


class VerifierFailed(Exception):
    """A verifier could not say whether a sample is right; the message says why."""


class BadVerifier(CandorError):
    """A request's verifier cannot be used as it is."""

    status, code = 400, "invalid_request"

    def __init__(self, detail: str, field: str) -> None:
        super().__init__(detail, field=f"{FIELD}.{field}")


class VerifierNotServed(BadVerifier):
    """This gateway does not have a verifier of this kind: its settings, or its machine, do not allow it."""

    status, code = 501, "not_served"
