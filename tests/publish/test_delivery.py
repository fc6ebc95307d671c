"""Parcels in order, and groups that grow and shrink."""

from service.publish.delivery import Parcel, _Queue


def _parcel(number: int, items: int) -> Parcel:
    return Parcel(("events", 0), number, [number] * items, lambda: None)


async def test_what_is_taken_back_of_a_group_comes_next_in_its_order() -> None:
    queue = _Queue()
    for number in range(5):
        queue.put(_parcel(number, 10))
    group = await queue.group(40)
    assert [parcel.next_offset for parcel in group] == [0, 1, 2, 3]
    group = queue.fewer(group, 25)
    assert [parcel.next_offset for parcel in group] == [0, 1]
    queue.finished(group)
    assert queue.items == 30
    group = await queue.group(100)
    assert [parcel.next_offset for parcel in group] == [2, 3, 4]
    queue.finished(group)
    assert queue.is_idle
    assert queue.items == 0


async def test_one_parcel_goes_in_any_case() -> None:
    queue = _Queue()
    queue.put(_parcel(0, 10))
    group = await queue.group(1)
    assert queue.fewer(group, 1) == group
    queue.finished(group)
    assert queue.is_idle
