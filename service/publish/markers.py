"""Whether a transaction has ended in each of its partitions, and how it is ended where it has not.

When a transaction ends, its coordinator has the leader of each partition write a marker, and readers go by the markers.
A broker may forget one: Apache Kafka 4.4 takes a partition without a leader for deleted, leaves its marker out and calls the
transaction complete. The records there then stay open, and the *next* marker of the same transactional id decides on them:
what was aborted and sent again is shown twice, or what was committed is lost. So the leaders themselves are asked (KIP-664).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import IncompatibleBrokerVersion, LeaderNotAvailableError, TopicAuthorizationFailedError, for_code
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


class Markers:
    """Of the transactions of one transactional id, whatever producers come and go under it."""

    def __init__(self) -> None:
        self._touched: set[TopicPartition] = set()
        self._hidden: set[str] = set()
        """Topics about which nobody tells us."""

    def watch(self, producer: Any) -> None:
        """Takes note of the partitions to which a producer is going to write. Before it starts."""
        manager = producer._txn_manager
        add = manager.maybe_add_partition_to_txn

        def noting(tp: TopicPartition) -> None:
            self._touched.add(tp)
            add(tp)

        manager.maybe_add_partition_to_txn = noting

    async def settle(self, producer: Any, commit: bool) -> None:
        """Returns when the last transaction has ended in each of its partitions.

        Args:
            producer: aiokafka's, started, in no transaction.
            commit: how that transaction ended; where its marker is missing, one of the same kind is written.

        Raises:
            KafkaError: a leader does not answer, or the producer cannot write markers any more: the question stays open.
        """
        began, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while still := await self._open(producer):
            if time.monotonic() - began < USUALLY_SECONDS:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            _log.warning(
                "markers of a transaction are missing, writing them", committed=commit, partitions=sorted(map(tuple, still))
            )
            await producer.begin_transaction()
            for tp in still:
                producer._txn_manager.maybe_add_partition_to_txn(tp)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
            began, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        self._touched.clear()

    async def _open(self, producer: Any) -> set[TopicPartition]:
        """The partitions in which the producer's id has an open transaction, as their leaders tell."""
        by_leader: defaultdict[int, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        cluster = producer.client.cluster
        for tp in self._touched:
            if tp.topic in self._hidden:
                continue
            leader = cluster.leader_for_partition(tp)
            if leader is None or leader == _NONE:
                await producer.client.force_metadata_update()
                leader = cluster.leader_for_partition(tp)
            if leader is None and cluster.partitions_for_topic(tp.topic) is None:
                continue  # deleted
            if leader is None or leader == _NONE:
                raise LeaderNotAvailableError(f"{tp.topic}-{tp.partition}")
            by_leader[leader][tp.topic].append(tp.partition)
        try:
            asked = [producer.client.send(node, _DescribeProducers(topics)) for node, topics in by_leader.items()]
            answers = await asyncio.gather(*asked)
            return {tp for answer in answers for tp in self._open_in(answer, producer._txn_manager.producer_id)}
        except IncompatibleBrokerVersion:
            self._hide({tp.topic for tp in self._touched}, "a broker of version 2.8 or later")
            return set()
        except BaseException:
            producer.client.force_metadata_update()
            raise

    def _open_in(self, answer: Any, producer_id: int) -> Iterable[TopicPartition]:
        for topic, partitions, _ in answer.topics:
            for partition, code, _, producers, _ in partitions:
                if code == TopicAuthorizationFailedError.errno:
                    self._hide({topic}, "the right to read the topic")
                elif code:
                    raise for_code(code)(f"{topic}-{partition}")
                elif any(one[0] == producer_id and one[5] != _NONE for one in producers):
                    yield TopicPartition(topic, partition)

    def _hide(self, topics: set[str], needed: str) -> None:
        if topics <= self._hidden:
            return
        self._hidden |= topics
        _log.warning(
            "it cannot be seen whether transactions end everywhere: exactly-once holds only while every partition has a leader",
            topics=sorted(topics),
            needed=needed,
        )
