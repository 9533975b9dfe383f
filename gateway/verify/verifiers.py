"""Every kind of verifier behind two questions: can it be used, and what does it say of a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.verify import checks
from gateway.verify.code import Sandbox, program
from gateway.verify.faults import BadVerifier, VerifierFailed, VerifierNotServed
from gateway.verify.pool import SECONDS, Pool
from gateway.verify.remote import Remote
from shared.contracts.verifier import CodeVerifier, HttpVerifier, JsonSchemaVerifier, MathVerifier, Verifier

Given = TypeVar("Given")


class Verifiers:
    """One for each app. `hosts`: where verifiers may be called; `run_code`: whether samples' programs are run;
    `seconds`: of one check of a formula, pattern or schema."""

    def __init__(self, hosts: Sequence[str] = (), *, run_code: bool = True, seconds: float = SECONDS) -> None:
        self._run_code = run_code
        self._pool, self._sandbox, self._remote = Pool(seconds), Sandbox(), Remote(hosts)

    async def check(self, verifier: Verifier) -> None:
        """Before any work: raises BadVerifier if the verifier is not usable, VerifierNotServed if not here."""
        if isinstance(verifier, HttpVerifier):
            self._remote.check(verifier.url)
        elif isinstance(verifier, CodeVerifier):
            await self._check_code()
        elif isinstance(verifier, MathVerifier):
            await self._fault("answer", checks.answer_fault, verifier.answer)
        elif isinstance(verifier, JsonSchemaVerifier):
            await self._fault("schema", checks.schema_fault, verifier.json_schema)
        else:
            await self._fault("pattern", checks.pattern_fault, verifier.pattern)

    async def verify(self, verifier: Verifier, question: str, text: str, answer: str) -> bool:
        """Whether a sample is right; `answer` is the short one in its `text`. Raises VerifierFailed."""
        if isinstance(verifier, HttpVerifier):
            return await self._remote.verify(verifier.url, question, text, answer)
        if isinstance(verifier, CodeVerifier):
            return await self._sandbox.passes(program(text), verifier.tests, verifier.seconds, verifier.memory)
        if isinstance(verifier, MathVerifier):
            return await self._pool.run(checks.equal, verifier.answer, text)
        if isinstance(verifier, JsonSchemaVerifier):
            return await self._pool.run(checks.valid, verifier.json_schema, text)
        return await self._pool.run(checks.found, verifier.pattern, text)

    async def close(self) -> None:
        """End the processes and close the connections."""
        await self._pool.close()
        await self._remote.close()

    async def _check_code(self) -> None:
        if not self._run_code:
            raise VerifierNotServed("This gateway runs no code: CANDOR_GATEWAY_RUN_CODE is off.", "kind")
        if not await self._sandbox.available():
            detail = "This gateway runs no code: bubblewrap is not installed, or may not make a sandbox on its machine."
            raise VerifierNotServed(detail, "kind")

    async def _fault(self, field: str, check: Callable[[Given], str | None], given: Given) -> None:
        try:
            fault = await self._pool.run(check, given)
        except VerifierFailed as error:
            fault = f"it cannot be used: {error}"
        if fault:
            raise BadVerifier(f"{fault[:500]}.", field)
