"""What is committed never passes what is not delivered, in whatever order deliveries end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from service.consume.offsets import Offsets, Partition, Work

ONE: Partition = ("events", 0)
OTHER: Partition = ("events", 1)

SLABS = st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=20)
"""Partition, records and deliveries of what is read, in its order."""


class Model:
    """All that was read, in lists: the position is before the first slab that still waits."""

    def __init__(self) -> None:
        self.slabs: dict[Partition, list[list[int]]] = {ONE: [], OTHER: []}

    def begin(self, partition: Partition, records: int, deliveries: int) -> tuple[int, list[int]]:
        slabs = self.slabs[partition]
        slab = [slabs[-1][0] + records if slabs else records, deliveries]
        slabs.append(slab)
        return slab[0], slab

    def position(self, partition: Partition) -> int | None:
        done = None
        for next_offset, pending in self.slabs[partition]:
            if pending:
                break
            done = next_offset
        return done


@given(SLABS, st.data())
@settings(deadline=None, max_examples=100)
def test_the_position_is_always_just_before_the_first_undelivered(
    slabs: list[tuple[Partition, int, int]], data: st.DataObject
) -> None:
    offsets, model = Offsets(), Model()
    waiting: list[tuple[Partition, Work, list[int]]] = []
    reading = list(slabs)
    while reading or waiting:
        if reading and (not waiting or data.draw(st.booleans())):
            partition, records, deliveries = reading.pop(0)
            next_offset, slab = model.begin(partition, records, deliveries)
            work = offsets.begin(partition, next_offset, deliveries)
            assert (work is None) == (deliveries == 0)
            waiting += [(partition, work, slab)] * deliveries if work else []
        else:
            partition, work, slab = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            offsets.finish(partition, work)
            slab[1] -= 1

        for partition in (ONE, OTHER):
            assert offsets.position(partition) == model.position(partition)
        assert offsets.in_flight == len(waiting)

    assert offsets.due() == {partition: slabs[-1][0] for partition, slabs in model.slabs.items() if slabs}


def test_a_position_is_due_until_it_is_committed_and_again_when_it_moved() -> None:
    offsets = Offsets()
    offsets.begin(ONE, 10, 0)
    assert offsets.due() == {ONE: 10}

    offsets.committed({ONE: 10})
    assert offsets.due() == {}

    offsets.begin(ONE, 12, 0)
    assert offsets.due() == {ONE: 12}


def test_what_moved_while_a_commit_was_under_way_stays_due() -> None:
    offsets = Offsets()
    offsets.begin(ONE, 10, 0)
    sent = offsets.due()
    offsets.begin(ONE, 11, 0)

    offsets.committed(sent)

    assert offsets.due() == {ONE: 11}


def test_clean_slabs_behind_a_waiting_one_wait_with_it() -> None:
    offsets = Offsets()
    work = offsets.begin(ONE, 5, 1)
    offsets.begin(ONE, 9, 0)
    assert work is not None
    assert offsets.due() == {}

    offsets.finish(ONE, work)

    assert offsets.due() == {ONE: 9}


def test_a_delivery_of_before_a_revocation_moves_nothing_afterwards() -> None:
    offsets = Offsets()
    old = offsets.begin(ONE, 50, 1)
    assert old is not None
    offsets.forget()
    assert (offsets.due(), offsets.in_flight, offsets.position(ONE)) == ({}, 0, None)

    new = offsets.begin(ONE, 20, 1)
    assert new is not None
    offsets.finish(ONE, old)
    assert offsets.due() == {}

    offsets.finish(ONE, new)
    assert offsets.due() == {ONE: 20}


def test_after_a_revocation_the_same_position_is_due_again() -> None:
    offsets = Offsets()
    offsets.begin(ONE, 7, 0)
    offsets.committed({ONE: 7})
    offsets.forget()

    offsets.begin(ONE, 7, 0)

    assert offsets.due() == {ONE: 7}
