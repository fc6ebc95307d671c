"""Whether a transaction has ended in each of its partitions, and how it is ended where it has not.

When a transaction ends, its coordinator has the leader of each partition write a marker, and readers go by the markers.
A broker may forget one: Apache Kafka 4.4 takes a partition without a leader for deleted, leaves its marker out and calls the
transaction complete. The records there then stay open, and the *next* marker of the same transactional id decides on them:
what was aborted and sent again is shown twice, or what was committed is lost. So the leaders themselves are asked (KIP-664).

Where a worker dies before it has seen its transaction end, the next owner of its transactional id does that: it asks for all
partitions that may have been written to (:func:`leftovers`). How what it finds has to end is told by what was committed beside
the offset: how far the last committed transaction reached in each of its partitions (:func:`told`). A transaction only begins
when the one before has ended everywhere, so what is open within that reach belongs to it, and what is open beyond is of a later
one, which came to nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from service.telemetry import logs

_log = logs.get("publish")
USUALLY_SECONDS: Final = 0.5
"""Within which the coordinator's own markers are there, while every partition has a leader."""
_FIRST_PAUSE_SECONDS: Final = 0.002
_LONGEST_PAUSE_SECONDS: Final = 0.05
_NONE: Final = -1


class _Answer(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("transaction_start", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("name", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)),
        ),
        ("tags", TaggedFields),
    )


class _DescribeProducers(Request[_Question]):  # type: ignore[misc]
    API_KEY = 61

    def __init__(self, topics: dict[str, list[int]]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(name, partitions, {}) for name, partitions in self._topics.items()], {})


Ends = Callable[[TopicPartition, int], bool]
"""Whether what is open in a partition from an offset on is to be committed."""
MOST_TOLD: Final = 2000
"""Characters committed beside an offset; brokers take 4,096 bytes unless told otherwise."""
_ALL: Final = "+"
"""In the place of partitions that were too many: what is open anywhere counts as committed; rather twice than not at all."""
_ANYWHERE: Final = 1 << 62


def told(token: str, reached: Mapping[TopicPartition, int]) -> str:
    """What is committed beside the offset of a transaction.

    Args:
        token: the transaction's own word, without blanks.
        reached: the last offset that it wrote in each partition; negative where it is not known.
    """
    by_topic: defaultdict[str, list[str]] = defaultdict(list)
    for tp, offset in sorted(reached.items()):
        by_topic[tp.topic].append(f"{tp.partition}={offset if offset >= 0 else _ANYWHERE:x}")
    whole = " ".join((token, *(f"{topic}:{','.join(parts)}" for topic, parts in by_topic.items())))
    return whole if len(whole) <= MOST_TOLD else f"{token} {_ALL}"


def token(committed: str) -> str:
    """The transaction's own word in what was committed beside its offset."""
    return committed.partition(" ")[0]


def reach(committed: str) -> Ends:
    """Whether something open is of the transaction of which this was committed beside the offset; see :func:`told`."""
    reached: dict[TopicPartition, int] = {}
    _, _, rest = committed.partition(" ")
    if rest == _ALL:
        return lambda tp, start: True
    for of_topic in rest.split():
        topic, _, parts = of_topic.partition(":")
        for part in filter(None, parts.split(",")):
            number, _, offset = part.partition("=")
            reached[TopicPartition(topic, int(number))] = int(offset, 16)
    return lambda tp, start: start <= reached.get(tp, _NONE)


class Left(NamedTuple):
    """What former owners may have left open."""

    open: dict[int, dict[TopicPartition, int]]
    """By producer id: where, and from which offset on."""
    unknown: set[TopicPartition]
    """Of which nobody could tell at the moment."""


async def leftovers(client: Any, topics: Iterable[str], hidden: Hidden) -> Left:
    """What is open in the partitions of these topics.

    Args:
        client: aiokafka's, connected.
        topics: those that may have been written to; one that is missing is passed over.
        hidden: topics about which nobody tells us.

    Raises:
        KafkaError: no broker tells of the topics.
    """
    cluster = await client.fetch_all_metadata()
    numbers = ((topic, cluster.partitions_for_topic(topic) or ()) for topic in topics if topic not in hidden)
    by_leader, unknown = _by_leader(cluster, (TopicPartition(topic, number) for topic, ns in numbers for number in ns))
    found: defaultdict[int, dict[TopicPartition, int]] = defaultdict(dict)
    asked = [client.send(node, _DescribeProducers(wanted)) for node, wanted in by_leader.items()]
    for wanted, answer in zip(by_leader.values(), await asyncio.gather(*asked, return_exceptions=True), strict=True):
        if isinstance(answer, IncompatibleBrokerVersion):
            hidden.add(wanted, "a broker of version 2.8 or later")
        elif isinstance(answer, KafkaError | TimeoutError | OSError):
            unknown |= {TopicPartition(topic, number) for topic, ns in wanted.items() for number in ns}
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for tp, code, producers in _each(answer):
                if code == TopicAuthorizationFailedError.errno:
                    hidden.add({tp.topic}, "the right to read the topic")
                elif code:
                    unknown.add(tp)
                for one in producers:
                    if one[5] != _NONE:
                        found[one[0]][tp] = one[5]
    return Left(found, unknown)


def _by_leader(
    cluster: Any, partitions: Iterable[TopicPartition]
) -> tuple[dict[int, dict[str, list[int]]], set[TopicPartition]]:
    """What to ask each leader, and the partitions that have none."""
    by_leader: defaultdict[int, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    without: set[TopicPartition] = set()
    for tp in partitions:
        leader = cluster.leader_for_partition(tp)
        if leader is None or leader == _NONE:
            without.add(tp)
        else:
            by_leader[leader][tp.topic].append(tp.partition)
    return {node: dict(topics) for node, topics in by_leader.items()}, without


def _listed(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{tp.topic}-{tp.partition}" for tp in sorted(partitions)]


def _each(answer: Any) -> Iterator[tuple[TopicPartition, int, list[Any]]]:
    for topic, partitions, _ in answer.topics:
        for partition, code, _, producers, _ in partitions:
            yield TopicPartition(topic, partition), code, producers


class Hidden:
    """Topics about which nobody tells us; each is told once."""

    def __init__(self) -> None:
        self._topics: set[str] = set()

    def __contains__(self, topic: str) -> bool:
        return topic in self._topics

    def add(self, topics: Iterable[str], needed: str) -> None:
        """Nobody tells of these without what is needed."""
        if not (anew := set(topics) - self._topics):
            return
        self._topics |= anew
        _log.warning(
            "it cannot be seen whether transactions end everywhere: exactly-once holds only while every partition has a leader",
            topics=sorted(anew),
            needed=needed,
        )


class Markers:
    """Of the transactions of one transactional id, whatever producers come and go under it.

    Args:
        hidden: topics about which nobody tells us.
    """

    def __init__(self, hidden: Hidden | None = None) -> None:
        self._touched: set[TopicPartition] = set()
        self._hidden = hidden or Hidden()

    def watch(self, producer: Any) -> None:
        """Takes note of the partitions to which a producer is going to write. Before it starts."""
        manager = producer._txn_manager
        add = manager.maybe_add_partition_to_txn

        def noting(tp: TopicPartition) -> None:
            self._touched.add(tp)
            add(tp)

        manager.maybe_add_partition_to_txn = noting

    def adopt(self, left: Left, producer: Any) -> None:
        """Takes over what former owners may have left open under the id of a producer that has started."""
        self._touched |= left.unknown | left.open.get(producer._txn_manager.producer_id, {}).keys()

    async def settle(self, producer: Any, commits: Ends) -> None:
        """Returns when what came before has ended in each of its partitions.

        Args:
            producer: aiokafka's, started, in no transaction.
            commits: how it ended; where a marker is missing, one of the same kind is written.

        Raises:
            KafkaError: a leader does not answer, or the producer cannot write markers any more: the question stays open.
        """
        began, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while still := await self._open(producer):
            if time.monotonic() - began < USUALLY_SECONDS:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            for commit in (True, False):
                if alike := [tp for tp, start in still.items() if commits(tp, start) is commit]:
                    await self._write(producer, alike, commit)
            began, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        self._touched.clear()

    async def _write(self, producer: Any, partitions: list[TopicPartition], commit: bool) -> None:
        _log.warning("markers of a transaction are missing, writing them", committed=commit, partitions=_listed(partitions))
        await producer.begin_transaction()
        for tp in partitions:
            producer._txn_manager.maybe_add_partition_to_txn(tp)
        await (producer.commit_transaction() if commit else producer.abort_transaction())

    async def _open(self, producer: Any) -> dict[TopicPartition, int]:
        """The partitions in which the producer's id has an open transaction, and where it begins, as their leaders tell."""
        client, wanted = producer.client, {tp for tp in self._touched if tp.topic not in self._hidden}
        by_leader, without = _by_leader(client.cluster, wanted)
        if without:
            await client.force_metadata_update()
            wanted -= {tp for tp in without if client.cluster.partitions_for_topic(tp.topic) is None}  # deleted
            by_leader, without = _by_leader(client.cluster, wanted)
        if without:
            _log.warning("it cannot be seen whether transactions ended where there is no leader", partitions=_listed(without))
            raise LeaderNotAvailableError(f"{min(without).topic}-{min(without).partition}")
        try:
            asked = [client.send(node, _DescribeProducers(topics)) for node, topics in by_leader.items()]
            answers = await asyncio.gather(*asked)
            return {tp: start for answer in answers for tp, start in self._open_in(answer, producer._txn_manager.producer_id)}
        except IncompatibleBrokerVersion:
            self._hidden.add({tp.topic for tp in wanted}, "a broker of version 2.8 or later")
            return {}
        except BaseException:
            client.force_metadata_update()
            raise

    def _open_in(self, answer: Any, producer_id: int) -> Iterator[tuple[TopicPartition, int]]:
        for tp, code, producers in _each(answer):
            if code == TopicAuthorizationFailedError.errno:
                self._hidden.add({tp.topic}, "the right to read the topic")
            elif code:
                raise for_code(code)(f"{tp.topic}-{tp.partition}")
            for one in producers:
                if one[0] == producer_id and one[5] != _NONE:
                    yield tp, one[5]
