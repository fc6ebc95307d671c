"""What is committed beside an offset, and what it says of transactions that are found open."""

from aiokafka import TopicPartition

from service.publish import markers

ALERTS, OTHERS = "sluice.alerts", "a_b-c"


def test_what_is_open_within_the_reach_of_the_last_transaction_was_committed() -> None:
    committed = markers.told(
        "word", {TopicPartition(ALERTS, 3): 700, TopicPartition(ALERTS, 12): 0, TopicPartition(OTHERS, 0): 9}
    )
    commits = markers.reach(committed)
    assert markers.token(committed) == "word"
    assert commits(TopicPartition(ALERTS, 3), 700)
    assert commits(TopicPartition(ALERTS, 12), 0)
    assert commits(TopicPartition(OTHERS, 0), 5)


def test_what_is_open_beyond_came_to_nothing() -> None:
    commits = markers.reach(markers.told("word", {TopicPartition(ALERTS, 3): 700}))
    assert not commits(TopicPartition(ALERTS, 3), 701)
    assert not commits(TopicPartition(ALERTS, 4), 0)
    assert not commits(TopicPartition(OTHERS, 3), 0)


def test_of_nothing_committed_nothing_is_open() -> None:
    for committed in ("", "word", markers.told("word", {})):
        assert not markers.reach(committed)(TopicPartition(ALERTS, 0), 0)


def test_an_offset_that_nobody_told_is_within_reach() -> None:
    assert markers.reach(markers.told("word", {TopicPartition(ALERTS, 0): -1}))(TopicPartition(ALERTS, 0), 1 << 50)


def test_more_partitions_than_there_is_room_for_are_all_within_reach() -> None:
    committed = markers.told("word", {TopicPartition(ALERTS, number): 1 << 40 for number in range(1000)})
    assert len(committed) <= markers.MOST_TOLD
    assert markers.token(committed) == "word"
    assert markers.reach(committed)(TopicPartition(ALERTS, 2000), 1)


def test_hundreds_of_partitions_have_room() -> None:
    reached = {TopicPartition(ALERTS, number): 1_000_000 + number for number in range(150)}
    commits = markers.reach(markers.told("0" * 32, reached))
    assert all(commits(tp, offset) and not commits(tp, offset + 1) for tp, offset in reached.items())
