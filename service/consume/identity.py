"""Whether a topic is still the one that it was: one that is deleted and made anew keeps its name, not its id (KIP-516).

The library knows topics by name alone. A consumer that never saw a topic missing would go on at its old offset within the
new one, and what stands before would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_VERSION: Final = 10
_NONE: Final = bytes(16)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:
        return bytes(data.read(16))


class _Answer(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = _VERSION
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_Question]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(_NONE, topic, {}) for topic in self._topics], False, False, False, {})


class Identity:
    """The ids of topics, as they were seen last."""

    def __init__(self) -> None:
        self._ids: dict[str, bytes] = {}

    async def changed(self, client: Any, topics: Iterable[str]) -> set[str]:
        """Those of the topics that were made anew since they were seen.

        Nothing of a topic that is missing at the moment, nor of brokers that are too old to tell ids (before 2.8).

        Args:
            client: aiokafka's, of a connected consumer.
            topics: those that are read.
        """
        node = client.get_random_node()
        if node is None or not (wanted := sorted(topics)):
            return set()
        try:
            answer = await client.send(node, _Metadata(wanted))
        except (KafkaError, IncompatibleBrokerVersion, NotImplementedError, TimeoutError, OSError):
            return set()
        return self.note({topic[1]: topic[2] for topic in answer.topics if topic[0] == 0})

    def note(self, ids: dict[str, bytes]) -> set[str]:
        """Takes note of what was seen; those that have another id than before."""
        seen = {name: topic_id for name, topic_id in ids.items() if topic_id != _NONE}
        anew = {name for name, topic_id in seen.items() if self._ids.get(name, topic_id) != topic_id}
        self._ids |= seen
        return anew
