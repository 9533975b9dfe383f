"""What each owner's data did, what failed without losing the answer, and who computed."""

import asyncio

import pytest

from gateway.pipeline.account import account
from gateway.pipeline.faults import StageFailed, unavailable
from gateway.pipeline.run import Run
from gateway.pipeline.sample import Draft, Samples, check_mask
from gateway.policy import Consent, ConsentNotApplied
from shared.clients.base import ServiceError
from shared.contracts.candor import OwnerChoice, ReadPassage, Stage
from shared.contracts.model import AppliedMask, SampleDetail
from shared.contracts.retrieval import PassageScores
from shared.contracts.tracing import Match, Span
from shared.http.errors import CandorError, Overloaded
from shared.owners import Owner

OWNERS = tuple(
    Owner(id=name, name=name, licence="CC0-1.0", contact="x", experts=experts)
    for name, experts in (("commons", []), ("papers", ["papers"]), ("clinic", ["clinic-1", "clinic-2"]))
)
CONSENT = Consent(OWNERS, ("commons", "papers", "clinic"), OwnerChoice(exclude=["papers"]), ("commons", "clinic"))

EXPERTS = ["public", "clinic-1", "clinic-2"]


def draft(tokens: int, **routing: float) -> Draft:
    return Draft("x", tokens, "stop", None, {name.replace("_", "-"): share for name, share in routing.items()})


def span(start: int, end: int, *owners: str) -> Span:
    documents = [
        Match(
            id="d",
            owner=owner,
            corpus=owner,
            snippet="",
            match_start=0,
            match_end=0,
            score=0,
        )
        for owner in owners
    ]
    return Span(
        start=start, end=end, text="", length=1, count=1, relevance="low", owners=[*owners], documents=documents
    )


def test_the_ledger_has_every_effective_owner_and_no_other() -> None:
    assert [entry.owner for entry in account(CONSENT, EXPERTS, [], Samples((), 0), [])] == ["commons", "clinic"]


def test_an_expert_that_the_served_model_does_not_have_is_not_in_the_ledger() -> None:
    assert account(CONSENT, ["public", "clinic-2"], [], Samples((), 0), [])[1].experts == ["clinic-2"]


def test_a_routing_share_is_the_mean_over_tokens_of_all_samples_and_all_experts_of_the_owner() -> None:
    samples = Samples((draft(10, public=0.5, clinic_1=0.3, clinic_2=0.2), draft(30, public=0.9, clinic_1=0.1)), 0)
    assert account(CONSENT, EXPERTS, [], samples, [])[1].routing_share == pytest.approx((10 * 0.5 + 30 * 0.1) / 40)


def test_overlapping_spans_of_an_owner_count_each_character_once() -> None:
    spans = [span(0, 10, "clinic", "commons"), span(5, 12, "clinic"), span(20, 22, "clinic")]
    entries = account(CONSENT, EXPERTS, [], Samples((), 0), spans)
    assert [entry.traced_characters for entry in entries] == [10, 14]


def test_characters_are_counted_for_every_owner_of_a_span_whatever_documents_are_shown() -> None:
    found = span(0, 10, "clinic", "commons").model_copy(update={"documents": []})
    assert [entry.traced_characters for entry in account(CONSENT, EXPERTS, [], Samples((), 0), [found])] == [10, 10]


def test_passages_are_counted_by_owner() -> None:
    passages = [
        ReadPassage(
            n=n, id="p", document="d", owner=owner, source="s", title="T", licence="l", text="t", scores=PassageScores()
        )
        for n, owner in enumerate(["clinic", "clinic", "commons"], 1)
    ]
    assert [entry.passages for entry in account(CONSENT, EXPERTS, passages, Samples((), 0), [])] == [1, 2]


def test_a_forced_answer_is_joined_with_means_over_the_tokens_of_both() -> None:
    first = Draft("It is", 30, "length", 1.0, {"public": 1.0})
    joined = first.then(" | ", Draft("7", 10, "stop", 5.0, {"public": 0.6, "clinic-1": 0.4}))
    assert (joined.text, joined.tokens, joined.finish_reason, joined.confidence) == ("It is | 7", 40, "stop", 2.0)
    assert joined.routing == pytest.approx({"public": 0.9, "clinic-1": 0.1})


@pytest.mark.parametrize(
    ("experts", "routing"),
    [(["public", "papers"], {"public": 1.0}), (["public"], {"public": 0.9, "papers": 0.1})],
)
def test_a_mask_wider_than_asked_or_a_share_of_another_expert_breaks_consent(
    experts: list[str], routing: dict[str, float]
) -> None:
    with pytest.raises(ConsentNotApplied):
        check_mask(
            CONSENT,
            ["public"],
            AppliedMask(experts=experts, vocabulary=9),
            [SampleDetail(tokens=1, routing=routing)],
        )


async def _fails(error: Exception) -> list[int]:
    raise error


def test_a_service_that_is_down_loses_its_part_and_is_reported() -> None:
    run = Run(strict=False, warnings=[])
    assert asyncio.run(run.optional("trace", _fails(ServiceError("tracing", "no answer")), [])) == []
    assert [(failed.stage, failed.error) for failed in run.failed] == [("trace", "tracing: no answer")]


def test_a_strict_request_fails_with_the_stage_named() -> None:
    run = Run(strict=True, warnings=[])
    with pytest.raises(StageFailed, match="'trace'") as error:
        asyncio.run(run.optional("trace", _fails(ServiceError("tracing", "no answer")), []))
    assert error.value.status == 503


def test_a_model_whose_queue_is_full_is_a_429_with_a_time_to_come_back() -> None:
    run = Run(strict=False, warnings=[])
    with pytest.raises(Overloaded) as error, run.needed("generate"):
        raise ServiceError("model", "The queue is full.", status=429, code="overloaded")
    assert error.value.retry_after


@pytest.mark.parametrize("strict", [True, False])
def test_what_a_service_refuses_is_the_requests_own_fault_and_is_passed_on(strict: bool) -> None:
    run = Run(strict=strict, warnings=[])
    refused = ServiceError(
        "retrieval", "There is no datastore 'x'.", status=404, code="unknown_datastore", field="datastore"
    )
    with pytest.raises(CandorError, match="no datastore") as error:
        asyncio.run(run.optional("retrieve", _fails(refused), []))
    assert (error.value.status, error.value.code, error.value.field) == (
        404,
        "unknown_datastore",
        "candor.retrieval.datastore",
    )


@pytest.mark.parametrize(
    ("stage", "field"), [("retrieve", "query"), ("retrieve", None), ("trace", "text"), ("trace", "owners")]
)
def test_a_refusal_of_what_the_client_did_not_write_is_a_failed_stage(stage: Stage, field: str | None) -> None:
    run = Run(strict=False, warnings=[])
    asyncio.run(run.optional(stage, _fails(ServiceError("service", "no words in it", status=422, field=field)), []))
    assert [failed.stage for failed in run.failed] == [stage]


def test_a_mask_the_model_does_not_know_is_not_the_clients_fault() -> None:
    run = Run(strict=False, warnings=[])
    with pytest.raises(StageFailed), run.needed("generate"):
        raise ServiceError("model", "There is no expert 'x'.", status=400, field="candor.experts")


@pytest.mark.parametrize("strict", [True, False])
def test_consent_that_was_not_applied_fails_the_request_strict_or_not(strict: bool) -> None:
    run = Run(strict=strict, warnings=[])
    with pytest.raises(ConsentNotApplied):
        asyncio.run(run.optional("retrieve", _fails(ConsentNotApplied("retrieval", ["papers"])), []))


def test_the_overhead_is_the_total_less_the_time_of_the_services() -> None:
    run = Run(strict=False, warnings=[])
    with run.timed("generate"):
        asyncio.run(asyncio.sleep(0.02))
    with run.timed("aggregate"):
        asyncio.run(asyncio.sleep(0.01))
    timings = run.timings()
    assert timings.generate >= 20
    assert timings.overhead >= 10
    assert timings.total == pytest.approx(timings.generate + timings.overhead, abs=0.01)


@pytest.mark.parametrize(("status", "answered"), [(429, 429), (404, 404), (422, 422), (500, 503), (None, 503)])
def test_a_resources_own_service_answers_for_itself(status: int | None, answered: int) -> None:
    assert unavailable(ServiceError("tracing", "no", status=status)).status == answered
