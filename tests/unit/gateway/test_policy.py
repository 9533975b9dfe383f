"""Whose data may take part."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import AlwaysOn, ConsentNotApplied, Policy, UnknownOwner
from shared.contracts.candor import OwnerChoice
from shared.owners import Owner


def owner(identity: str, *, public: bool = False, default: str = "in", experts: list[str] | None = None) -> Owner:
    return Owner.model_validate(
        {
            "id": identity,
            "name": identity.title(),
            "licence": "CC0-1.0",
            "contact": "someone",
            "public": public,
            "default": default,
            "experts": experts or [],
            "corpora": [identity],
        }
    )


OWNERS = [
    owner("commons", public=True),
    owner("papers", experts=["papers"]),
    owner("clinic", experts=["clinic-1", "clinic-2"]),
    owner("archive", default="out"),
]
POLICY = Policy(OWNERS)
PRIVATE = ["papers", "clinic", "archive"]

subsets = st.lists(st.sampled_from(PRIVATE), unique=True)


def test_a_request_that_says_nothing_gets_every_owner_whose_default_is_in() -> None:
    assert POLICY.effective(OwnerChoice()).effective == ("commons", "papers", "clinic")


@given(subsets)
def test_including_owners_gives_exactly_those_and_the_public_ones(named: list[str]) -> None:
    assert set(POLICY.effective(OwnerChoice(include=named)).effective) == {"commons", *named}


@given(subsets)
def test_no_excluded_owner_is_effective_and_no_other_is_lost(named: list[str]) -> None:
    assert set(POLICY.effective(OwnerChoice(exclude=named)).effective) == {"commons", "papers", "clinic"} - set(named)


@given(st.permutations(PRIVATE))
def test_the_order_in_which_owners_are_named_changes_nothing(named: list[str]) -> None:
    assert POLICY.effective(OwnerChoice(include=named)).effective == ("commons", "papers", "clinic", "archive")


def test_a_public_owner_cannot_be_left_out_and_the_error_says_so() -> None:
    with pytest.raises(AlwaysOn, match="public and always on") as error:
        POLICY.effective(OwnerChoice(exclude=["papers", "commons"]))
    assert (error.value.status, error.value.field) == (400, "candor.owners.exclude")


@pytest.mark.parametrize("side", ["include", "exclude"])
def test_an_unknown_owner_is_an_error_that_names_the_field_and_the_known_owners(side: str) -> None:
    with pytest.raises(UnknownOwner, match="Known: commons, papers, clinic, archive") as error:
        POLICY.effective(OwnerChoice.model_validate({side: ["papers", "nobody"]}))
    assert error.value.field == f"candor.owners.{side}"


def test_an_unknown_owner_of_a_plain_list_names_that_field() -> None:
    with pytest.raises(UnknownOwner) as error:
        POLICY.named(["nobody"])
    assert error.value.field == "owners"


def test_only_experts_of_effective_owners_and_the_public_one_may_compute() -> None:
    assert POLICY.effective(OwnerChoice(exclude=["papers"])).experts == ("public", "clinic-1", "clinic-2")


def test_a_service_that_used_another_owner_breaks_consent_and_one_that_used_fewer_does_not() -> None:
    consent = POLICY.effective(OwnerChoice(exclude=["papers"]))
    consent.check("retrieval", ["clinic"])
    with pytest.raises(ConsentNotApplied, match=r"retrieval .*\(papers\)") as error:
        consent.check("retrieval", ["clinic", "papers"])
    assert (error.value.status, error.value.code) == (503, "consent_not_applied")


def test_an_expert_that_computed_without_leave_breaks_consent() -> None:
    consent = POLICY.effective(OwnerChoice(exclude=["papers"]))
    consent.check_experts(["public", "clinic-2"])
    with pytest.raises(ConsentNotApplied):
        consent.check_experts(["public", "papers"])


def test_the_model_is_believed_that_an_expert_is_public_unless_the_registry_has_an_owner_for_it() -> None:
    consent = POLICY.effective(OwnerChoice(exclude=["papers"]))
    consent.check_experts(["public", "public-1"], public=["public", "public-1"])
    for used, public in ((["public-1"], []), (["papers"], ["papers"])):
        with pytest.raises(ConsentNotApplied):
            consent.check_experts(used, public=public)
