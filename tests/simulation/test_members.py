"""What members of groups were told is held against each other."""

import pytest

from logserver.simulation.clients.classic import Generations
from logserver.simulation.clients.member import Owners
from logserver.simulation.ledger import Place, Violation

from .story import Story

FIRST: Place = ("plain", 0)
SECOND: Place = ("plain", 1)


def test_two_owners_of_a_partition_are_found() -> None:
    story = Story()
    owners = Owners(story.ledger)
    owners.owns("g", "anna", {FIRST}, until_s=13)
    owners.owns("g", "bert", {SECOND}, until_s=13)
    owners.owns("h", "carl", {FIRST}, until_s=13)
    with pytest.raises(Violation, match=r"^two owners of a partition"):
        owners.owns("g", "bert", {FIRST, SECOND}, until_s=13)


def test_a_partition_may_be_given_up_or_its_owner_be_missed() -> None:
    story = Story()
    owners = Owners(story.ledger)
    owners.owns("g", "anna", {FIRST, SECOND}, until_s=13)
    owners.keeps("g", "anna", {SECOND})
    owners.owns("g", "bert", {FIRST}, until_s=13)
    with pytest.raises(Violation, match=r"^two owners of a partition"):
        owners.owns("g", "bert", {SECOND}, until_s=13)
    story.now_s = 13
    owners.owns("g", "bert", {FIRST, SECOND}, until_s=16)


def test_generations_have_one_assignment_that_their_leader_made_and_end() -> None:
    generations = Generations()
    generations.assigns("g", 1, "anna.1", {"anna": {FIRST}, "bert": {SECOND}})
    generations.assigns("g", 1, "bert.1", {"anna": {SECOND}, "bert": {FIRST}})
    generations.told("g", 1, "anna", "anna.1", {FIRST})
    with pytest.raises(Violation, match=r"^wrong assignment"):
        generations.told("g", 1, "bert", "anna.1", {FIRST})
    with pytest.raises(Violation, match=r"^two assignments of a generation"):
        generations.told("g", 1, "bert", "bert.1", {FIRST})
    generations.check("g", "anna", 1, generations.newest("g"), "its commit was taken")
    generations.assigns("g", 2, "bert.2", {"bert": {FIRST}})
    generations.told("g", 2, "bert", "bert.2", {FIRST})
    with pytest.raises(Violation, match=r"^stale generation"):
        generations.check("g", "anna", 1, generations.newest("g"), "its commit was taken")
