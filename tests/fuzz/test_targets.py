"""A bounded run of every fuzz target: the same inputs every time, for a seed."""

import pytest

from tests.fuzz import mutate
from tests.fuzz.targets import TARGETS

COUNTS = {"records": 400, "envelopes": 150, "detectors": 60}
"""Inputs of the dear ones."""


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_target(name: str, request: pytest.FixtureRequest) -> None:
    count = COUNTS.get(name, 1000)

    assert mutate.run(name, request.config.getoption("--seed"), count=count) == count
