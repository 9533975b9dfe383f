"""The experts of a running service: who joins, who leaves, one change at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import structlog

from services.model.engines.base import BadExpert, EngineFailed, NewExpert, OtherAnchor, Unsupported
from services.model.errors import (
    BrokenExpert,
    ChangeFailed,
    ExpertOfAnother,
    ExpertsFixed,
    ExpertsUnwritable,
    PublicExpert,
    UnknownExpert,
    WrongAnchor,
)
from services.model.folder import ExpertFolder, Unsettled
from services.model.service import ModelService
from shared.contracts.model import PUBLIC, Expert

_log = structlog.get_logger()


class Roster:
    """Changes the experts of a service: in its engine, on disk, and in what requests are given to work with.

    `service` is what a request that begins now works with; it is replaced as a whole, so that one that has begun
    keeps what it has. `publish` hears of every new one.
    """

    def __init__(self, service: ModelService, folder: ExpertFolder, publish: Callable[[ModelService], None]) -> None:
        self.service = service
        self._folder, self._publish = folder, publish
        self._one_at_a_time = asyncio.Lock()

    async def put(self, owner: str, chunks: AsyncIterator[bytes]) -> tuple[Expert, bool]:
        """Let an owner's expert join, from the bytes of its file, in the place of one it had; True when it had none.

        It is on disk before it is in any answer. Returns when the one before is gone from memory. Raises
        PublicExpert, BrokenExpert, WrongAnchor, ExpertOfAnother, ExpertsFixed, ExpertsUnwritable: then nothing has
        changed; and ChangeFailed, which says how things stand.
        """
        if owner == PUBLIC:
            raise PublicExpert()
        with _refusals():
            self.service.engine.check_joining()
        try:
            with self._folder.upload() as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
                file.flush()
                async with self._one_at_a_time:
                    before = self.service.experts.of_owner(owner)
                    expert = await self._join(owner, Path(file.name))
        except OSError as error:
            raise ExpertsUnwritable(self._folder.path, error) from error
        except Unsettled as error:
            raise ChangeFailed(f"The expert of {owner!r} did not join, but may after a restart: {error}.") from error
        await self._gone(owner, before)
        return expert, not before

    async def delete(self, owner: str) -> None:
        """Let an owner's expert leave. It is refused from now on, also after a restart; returns when it is gone.

        Raises PublicExpert, UnknownExpert, ExpertsUnwritable: then nothing has changed; and ChangeFailed.
        """
        if owner == PUBLIC:
            raise PublicExpert()
        async with self._one_at_a_time:
            before = self.service.experts.of_owner(owner)
            try:
                # one that stays out now would come back with the anchor it fits, unless it is struck
                if not before and owner not in await asyncio.to_thread(self._folder.joined):
                    known = [expert.owner for expert in self.service.experts.listed if expert.owner]
                    raise UnknownExpert(owner, known, "owner")
                await asyncio.to_thread(self._folder.strike, owner)
            except OSError as error:
                raise ExpertsUnwritable(self._folder.path, error) from error
            except Unsettled as error:
                raise ChangeFailed(f"The expert of {owner!r} did not leave, but may by a restart: {error}.") from error
            self._replace(owner, None)
        await self._gone(owner, before)

    def restore(self) -> list[str]:
        """Apply what the folder says, before the service is published; returns what could not be. Blocks.

        An expert that does not fit any more (another anchor was pulled) stays out, and does not stop the service.
        """
        warnings: list[str] = []
        joined, left = self._folder.joined(), self._folder.left()
        for owner in sorted({*joined, *left}):
            try:
                for expert in self.service.experts.of_owner(owner):
                    self.service.engine.remove(expert.index, 0).result()
            except RuntimeError as error:
                warnings.append(f"No request can name the expert of {owner!r}, but it is in memory: {error}.")
            self.service = replace(self.service, experts=self.service.experts.without(owner))
        for owner, file in joined.items():
            try:
                new = self._fitting(owner, file)
                number = self.service.engine.add(new).result()
                self.service = replace(self.service, experts=self.service.experts.joined(_entry(new, number)))
            except (BrokenExpert, WrongAnchor, ExpertOfAnother, ExpertsFixed, ChangeFailed, RuntimeError) as error:
                # RuntimeError: the engine's own, and torch's when there is no memory
                _log.warning("an expert stays out", owner=owner, file=str(file), error=str(error))
                warnings.append(f"The expert of {owner!r} in {file} stays out: {error}")
        try:
            self._folder.tidy()
        except OSError as error:
            warnings.append(f"{self._folder.path} cannot be written ({error}): experts cannot be added or removed.")
        return warnings

    async def _join(self, owner: str, file: Path) -> Expert:
        engine = self.service.engine
        new = await asyncio.to_thread(self._fitting, owner, file)
        try:
            number = await asyncio.wrap_future(engine.add(new))
        except RuntimeError as error:
            raise ChangeFailed(f"The expert of {owner!r} could not join: {error}. Nothing was changed.") from error
        try:
            await asyncio.to_thread(self._folder.keep, file, owner)
        except (OSError, Unsettled):
            engine.remove(number, 0)
            raise
        expert = _entry(new, number)
        self._replace(owner, expert)
        return expert

    def _fitting(self, owner: str, file: Path) -> NewExpert:
        """The file's expert, checked. Raises BrokenExpert, WrongAnchor, ExpertOfAnother, ExpertsFixed, ChangeFailed."""
        with _refusals():
            new = self.service.engine.read(file)
        taken = [expert.id for expert in self.service.experts.without(owner).listed]
        if new.owner != owner or owner in taken:
            raise ExpertOfAnother(owner, new.owner)
        return new

    def _replace(self, owner: str, expert: Expert | None) -> None:
        remaining = self.service.experts.without(owner)
        self.service = replace(self.service, experts=remaining.joined(expert) if expert else remaining)
        self._publish(self.service)
        _log.info("the experts changed", owner=owner, experts=[expert.id for expert in self.service.experts.listed])

    async def _gone(self, owner: str, experts: list[Expert]) -> None:
        """Wait until these are out of the engine; requests that use them may end, for as long as the settings say."""
        patience = self.service.settings.removal_seconds
        try:
            futures = [self.service.engine.remove(expert.index, patience) for expert in experts]
            await asyncio.gather(*map(asyncio.wrap_future, futures))
        except RuntimeError as error:
            detail = f"No request can name the former expert of {owner!r} any more, but it is in memory until a restart"
            raise ChangeFailed(f"{detail}: {error}.") from error


@contextmanager
def _refusals() -> Iterator[None]:
    """What an engine says of experts and their files, as the service's own errors."""
    try:
        yield
    except Unsupported as error:
        raise ExpertsFixed(f"This service's engine cannot do that: {error}.") from error
    except OtherAnchor as error:
        raise WrongAnchor(f"The file does not fit the served model: {error}.") from error
    except BadExpert as error:
        raise BrokenExpert(f"The file is refused: {error}.") from error
    except (EngineFailed, OSError) as error:
        raise ChangeFailed(f"The file cannot be checked against the served model: {error}.") from error


def _entry(new: NewExpert, number: int) -> Expert:
    return Expert(id=new.owner, index=number, owner=new.owner, licence=new.licence, trained_tokens=new.tokens)
