"""What the broker lets us do, as it tells itself (KIP-430), and how topics and brokers are set up: nothing is tried out."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorForGroupError,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from service.consume import access
from service.settings import Settings

OPERATIONS: Final = {
    3: "READ",
    4: "WRITE",
    5: "CREATE",
    6: "DELETE",
    7: "ALTER",
    8: "DESCRIBE",
    9: "CLUSTER_ACTION",
    10: "DESCRIBE_CONFIGS",
    11: "ALTER_CONFIGS",
    12: "IDEMPOTENT_WRITE",
}
"""The bits of the broker's answers."""
_UNTOLD: Final = -(2**31)
_ATTEMPTS: Final = 10
_TOPIC_FORBIDDEN: Final = 29
_GROUP_FORBIDDEN: Final = 30


class _MetadataAnswer(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("operations", Int32),
    )


class _MetadataQuestion(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataAnswer
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Metadata(Request[_MetadataQuestion]):  # type: ignore[misc]
    """The library asks in version 5, which tells no rights."""

    API_KEY = 3

    def __init__(self, topics: list[str] | None) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, True, True)


class Topic(NamedTuple):
    """One topic, as far as we may see it."""

    exists: bool
    forbidden: bool
    """It may be there or not: we may not know."""
    partitions: int = 0
    replicas: int = 0
    leaderless: int = 0
    """Partitions that nobody leads at this moment."""
    behind: int = 0
    """Partitions of which not all replicas are in step."""
    may: frozenset[str] | None = None
    """Operations; None where the broker does not tell."""


class Seen(NamedTuple):
    """What the broker shows us."""

    topics: dict[str, Topic]
    cluster_may: frozenset[str] | None
    brokers: int


class Group(NamedTuple):
    """The consumer group."""

    forbidden: bool
    state: str
    members: int
    may: frozenset[str] | None


def _named(bits: int) -> frozenset[str] | None:
    if bits == _UNTOLD:
        return None
    return frozenset(name for code, name in OPERATIONS.items() if bits >> code & 1)


async def look(settings: Settings, topics: list[str] | None) -> Seen:
    """The topics of these names (all that we may see if None), and our rights to them.

    Raises:
        SourceError: no broker lets us in, or it is too old to tell (before 2.3).
    """
    link = await access.connect(settings)
    try:
        answer = await link.send(_Metadata(topics))
    except KafkaError as error:
        raise await access.explained(settings, error) from error
    finally:
        link.close()
    found = {}
    for code, name, _, partitions, operations in answer.topics:
        found[name] = Topic(
            exists=code == 0,
            forbidden=code == _TOPIC_FORBIDDEN,
            partitions=len(partitions),
            replicas=min((len(one[4]) for one in partitions), default=0),
            leaderless=sum(one[2] < 0 for one in partitions),
            behind=sum(len(one[5]) < len(one[4]) for one in partitions),
            may=_named(operations) if code == 0 else None,
        )
    return Seen(found, _named(answer.operations), len(answer.brokers))


async def group(admin: AIOKafkaAdminClient, name: str) -> Group:
    """The consumer group of this name.

    Raises:
        KafkaError: the broker does not say.
    """
    for attempt in range(_ATTEMPTS):
        try:
            answers = await admin.describe_consumer_groups([name], include_authorized_operations=True)
            break
        except GroupAuthorizationFailedError:
            return Group(True, "", 0, None)
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
            if attempt == _ATTEMPTS - 1:  # the first group of a cluster takes a moment
                raise
            await asyncio.sleep(0.5)
    code, _, state, _, _, members, *rest = answers[0].groups[0]
    return Group(code == _GROUP_FORBIDDEN, state, len(members), _named(rest[0]) if rest else None)


async def configured(admin: AIOKafkaAdminClient, *, topic: str = "", broker: int = -1) -> dict[str, str]:
    """The configuration of a topic or of a broker; empty where we may not see it.

    Raises:
        KafkaError: the broker does not say.
    """
    what = (ConfigResourceType.TOPIC, topic) if topic else (ConfigResourceType.BROKER, str(broker))
    answers = await admin.describe_configs([ConfigResource(*what)])
    code, *_, entries = answers[0].resources[0]
    return {} if code else {entry[0]: entry[1] for entry in entries}
