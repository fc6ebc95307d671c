"""Fetches shrink where memory is short or what comes after is slow, and grow again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.consume.pressure import LEAST_BYTES, LONG_SECONDS, Pressure

MIB = 1024 * 1024


@pytest.mark.parametrize(("partitions", "chunk"), [(0, MIB), (1, MIB), (64, MIB), (128, MIB // 2), (10_000, LEAST_BYTES)])
def test_partitions_share_the_room(partitions: int, chunk: int) -> None:
    pressure = Pressure(MIB, 64 * MIB)
    pressure.assigned(partitions)
    assert pressure.chunk == chunk


def test_fetches_shrink_while_sinks_are_behind_and_grow_again() -> None:
    pressure = Pressure(MIB, 64 * MIB)
    pressure.note(0.1, 0.6)
    assert pressure.chunk == MIB // 2
    for _ in range(10):
        pressure.note(0.1, 0.9)
    assert pressure.chunk == LEAST_BYTES
    pressure.note(0.1, 0.4)  # neither
    assert pressure.chunk == LEAST_BYTES
    for _ in range(10):
        pressure.note(0.1, 0.1)
    assert pressure.chunk == MIB


def test_fetches_shrink_where_a_turn_takes_long() -> None:
    pressure = Pressure(MIB, 64 * MIB)
    pressure.note(LONG_SECONDS + 0.1, 0.0)
    assert pressure.chunk == MIB // 2


def test_a_user_may_want_less_than_the_least() -> None:
    pressure = Pressure(50_000, 64 * MIB)
    pressure.assigned(3)
    pressure.note(9.0, 1.0)
    assert pressure.chunk == 50_000


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 2), st.integers(0, 500))), st.integers(1, 8 * MIB))
def test_a_chunk_is_within_its_bounds_whatever_happens(turns: list[tuple[float, float, int]], most: int) -> None:
    pressure = Pressure(most, 64 * MIB)
    for seconds, waiting, partitions in turns:
        pressure.assigned(partitions)
        pressure.note(seconds, waiting)
        assert min(most, LEAST_BYTES) <= pressure.chunk <= most
        assert pressure.chunk * partitions <= max(64 * MIB, partitions * LEAST_BYTES)
