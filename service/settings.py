"""Settings: one TOML file and the environment, which wins.

Every key is also ``SLUICE_SECTION__KEY``; the usual ``KAFKA_…`` names are accepted. Nothing is interpolated. Secrets come
from the environment or from a file that a ``…_file`` key names, never from the settings file itself. What is wrong or
unknown ends the start with its name, its place and what was expected.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import tomllib
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from service.errors import SettingsError, nearest
from service.records import Severity


def _masked(table: msgspec.Struct) -> str:
    """The table's repr, its secrets left out."""
    secret = {key for section, key in SECRET_KEYS if section == type(table).__name__.lower()}
    shown = {name: "(set)" if name in secret and value else value for name, value in msgspec.structs.asdict(table).items()}
    return f"{type(table).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class Kafka(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker and the group."""

    bootstrap_servers: str = "localhost:9092"
    group_id: str = "sluice"
    client_id: str = "sluice"
    group_instance_id: str | None = None
    """Static membership: a restart within the session time-out moves no partition."""
    client_rack: str | None = None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    sasl_password_file: str | None = None
    sasl_oauth_url: str | None = None
    """Where tokens are had for client id and secret (RFC 6749, 4.4)."""
    sasl_oauth_client_id: str | None = None
    sasl_oauth_client_secret: str | None = None
    sasl_oauth_client_secret_file: str | None = None
    sasl_oauth_scope: str = ""
    sasl_oauth_token_file: str | None = None
    """A token that somebody else renews, such as a projected service account's; read anew for each connection."""
    ssl_cafile: str | None = None
    """Authorities that may vouch for the broker, and for the token endpoint; those of the system if not set."""
    ssl_certfile: str | None = None
    """Our certificate, for brokers that want one."""
    ssl_keyfile: str | None = None
    ssl_key_password: str | None = None
    ssl_key_password_file: str | None = None
    session_timeout_ms: int = 30_000
    heartbeat_interval_ms: int = 3_000
    max_poll_interval_ms: int = 300_000
    metadata_max_age_ms: int = 60_000
    """How soon new partitions and, with ``consume.topic_pattern``, new topics are seen."""
    idempotence: bool = True
    """An idempotent producer: no doubles from its own retries. A few brokers cannot."""

    def __repr__(self) -> str:
        return _masked(self)


class Consume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is read, and how much of it at once."""

    topics: tuple[str, ...] = ("sluice.events",)
    topic_pattern: str | None = None
    """An expression for topic names, in place of ``topics``."""
    envelopes: dict[str, str] = {}
    """Topic to envelope, where it is not to be recognised."""
    start_at: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that has no offsets yet. With ``latest``, what is written to a new partition before it is seen
    (``kafka.metadata_max_age_ms``) is not read."""
    isolation: Literal["read_uncommitted", "read_committed"] = "read_uncommitted"
    fetch_max_wait_ms: int = 100
    fetch_max_bytes: int = 16 * 1024 * 1024
    max_partition_fetch_bytes: int = 1024 * 1024
    """What is fetched of a partition at once; less while sinks are behind, or where ``max_fetched_bytes`` would be passed."""
    max_fetched_bytes: int = 64 * 1024 * 1024
    """What is fetched and not yet taken, of all partitions of a worker together, at about."""
    max_in_flight: int = 10_000
    """Alerts and dead letters handed on and not yet acknowledged; above it nothing is fetched."""
    commit_interval_ms: int = 1_000
    drain_timeout_ms: int = 10_000
    """How long a shutdown or a revocation waits for deliveries."""
    create_topics: bool = True
    """Create missing topics, the alerts' and dead letters' too, where the broker allows it."""
    new_topic_partitions: int = 4
    """Partitions of a topic that is created: as many workers as there are partitions can share its work."""


class Detect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is looked for."""

    folders: tuple[str, ...] = ()
    """Folders of detector files beside the ones that come with Sluice."""
    disable: tuple[str, ...] = ()
    """Ids of detectors that are switched off."""
    watch_interval_ms: int = 2_000
    """How often the folders, the allow-lists and the settings file are looked at for changes, which are taken in without a
    pause; SIGHUP asks at once."""


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether providers are asked if a secret is live. Off until switched on: asking sends the secret to its provider."""

    enabled: bool = False
    only: tuple[str, ...] = ()
    """Ids of detectors and names of providers that are asked; all if empty."""
    skip: tuple[str, ...] = ()
    """Ids of detectors and names of providers that are not."""
    min_confidence: Literal["low", "medium", "high"] = "medium"
    """Of a finding that is asked about: what is no secret should go nowhere."""
    endpoints: dict[str, str] = {}
    """Hosts of one's own, by the names that the detectors give them (``gitlab``, ``vault``, ``npm``): one URL or more,
    separated by blanks. They are asked in place of the provider's public ones."""
    allow_private: tuple[str, ...] = ()
    """Host names whose addresses need not be public, and which may be asked without TLS."""
    proxy: str | None = None
    """``http://host:port``, through which everything goes. Names are then resolved, and addresses judged, by the proxy."""
    proxy_credentials: str | None = None
    """``user:password``."""
    proxy_credentials_file: str | None = None
    ca_file: str | None = None
    """Certificates that are trusted, in place of the system's."""
    canary_accounts: tuple[str, ...] = ()
    """AWS accounts whose keys are tripwires, beside the known ones: they are never asked about."""
    concurrency: int = 16
    """Checks under way at once."""
    concurrency_per_provider: int = 2
    rate_per_provider: float = 2.0
    """Requests a second to one provider, of one worker."""
    timeout_ms: int = 10_000
    attempts: int = 3
    """How often a request is sent, while the provider does not answer or asks us to wait."""
    breaker_failures: int = 5
    """After so many failures in a row a provider is left alone."""
    breaker_open_ms: int = 60_000
    """For so long at first; twice as long after each failure more, up to 15 minutes."""
    max_waiting: int = 10_000
    """Findings that wait to be asked about; above it the oldest stays unchecked."""
    max_remembered: int = 10_000
    """Outcomes that are kept, to answer for the same secret again: an hour if active, a day if inactive."""

    def __repr__(self) -> str:
        return _masked(self)


class Publish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts go."""

    topic: str = "sluice.alerts"
    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """Exactly once: alerts, what is known of their secrets, and offsets go in Kafka's transactions; who reads alerts at
    ``read_committed`` sees each once."""
    min_confidence: Literal["low", "medium", "high"] = "medium"
    audit_topic: str | None = None
    """Where is told what was found and yet not alerted, and why; nowhere if not given."""
    playbook_url: str = ""
    """Begins the link to a playbook in the alerts, such as ``https://sluice.internal``."""


class Repeats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One alert a secret, and updates of it."""

    enabled: bool = True
    """False: an alert for every record in which a secret stands."""
    window_seconds: float = 7 * 86_400.0
    """A secret that was not seen for so long counts as new."""
    update_interval_seconds: float = 900.0
    """At least so long between updates of one secret; better evidence and the provider's word go out at once."""
    most_secrets: int = 50_000
    """Secrets that are kept, all workers together; of more, those are forgotten that were not seen for the longest time."""


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people decided of secrets; `sluice verdict` writes it, every worker obeys."""

    topic: str = "sluice.verdicts"
    """Compacted, keyed by fingerprint."""
    most: int = 100_000
    """Verdicts kept in memory; of more, the oldest are not obeyed."""


class Allow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is let pass."""

    files: tuple[str, ...] = ()
    """Allow-lists: TOML files of ``[[allow]]`` entries."""
    inline: Literal["obey", "report"] = "obey"
    """Whether a marker on a secret's line, such as ``sluice:allow``, lets it pass, or the alert goes out all the same."""


_Validity = Literal["unchecked", "active", "inactive", "unknown"]
_Severity = Literal["info", "low", "medium", "high", "critical"]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule for findings; ``service/judge/rules.py`` says how they are tried. Lists mean: one of these."""

    name: str = ""
    detector: str | tuple[str, ...] = ()
    """Patterns of ids, such as ``aws-*``."""
    category: str | tuple[str, ...] = ()
    path: str | tuple[str, ...] = ()
    repository: str | tuple[str, ...] = ()
    source: str | tuple[str, ...] = ()
    confidence: Literal["low", "medium", "high"] | tuple[Literal["low", "medium", "high"], ...] = ()
    validity: _Validity | tuple[_Validity, ...] = ()
    severity_is: _Severity | tuple[_Severity, ...] = ()
    """What it is by its detector, or by the rules before."""
    severity: Severity | None = None
    """What it becomes."""
    drop: bool = False
    tag: str | tuple[str, ...] = ()
    topic: str = ""
    """Where its alerts go, in place of ``publish.topic``."""


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[[rules]]`` of the file, in their order."""

    listed: tuple[Rule, ...] = ()


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where records go that cannot be processed, and when to stop instead."""

    topic: str = "sluice.dead-letters"
    max_ratio: float = 0.1
    """Of the last 1,000 records or more."""
    max_consecutive: int = 1_000


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The organisation's key."""

    key: str | None = None
    key_file: str | None = None

    def __repr__(self) -> str:
        return _masked(self)


class Telemetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is seen from outside."""

    host: str = "127.0.0.1"
    """Any other address than loopback's needs ``token`` or ``tls_client_cafile``."""
    port: int = 9464
    socket: str | None = None
    """A Unix socket to listen on in place of host and port; whoever may open the file may ask."""
    token: str | None = None
    """Asked for as ``Authorization: Bearer``, or as the password of Basic."""
    token_file: str | None = None
    tls_certfile: str | None = None
    tls_keyfile: str | None = None
    tls_client_cafile: str | None = None
    """Authorities of client certificates: without one nobody is let in."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_style: Literal["auto", "json", "console"] = "auto"

    def __repr__(self) -> str:
        return _masked(self)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings."""

    kafka: Kafka = Kafka()
    consume: Consume = Consume()
    detect: Detect = Detect()
    probe: Probe = Probe()
    publish: Publish = Publish()
    repeats: Repeats = Repeats()
    verdicts: Verdicts = Verdicts()
    allow: Allow = Allow()
    rules: Rules = Rules()
    dead_letters: DeadLetters = DeadLetters()
    fingerprint: Fingerprint = Fingerprint()
    telemetry: Telemetry = Telemetry()

    @property
    def own_topics(self) -> frozenset[str]:
        """What Sluice itself writes: reading it as events would go round for ever."""
        shared = (self.publish.topic, self.dead_letters.topic, self.verdicts.topic)
        routed = (rule.topic for rule in self.rules.listed if rule.topic)
        audit = (self.publish.audit_topic,) if self.publish.audit_topic else ()
        return frozenset((*shared, *audit, *routed, self.sightings_topic, self.secrets_topic))

    @property
    def sightings_topic(self) -> str:
        """Where workers tell each other what they saw. The group's own: two groups do not mix."""
        return f"{self.kafka.group_id}.sightings"

    @property
    def secrets_topic(self) -> str:
        """What is known of each secret; compacted, partitioned as the sightings are."""
        return f"{self.kafka.group_id}.secrets"

    @property
    def repeats_group(self) -> str:
        """The group that shares the sightings."""
        return f"{self.kafka.group_id}-repeats"


SECRET_KEYS: Final = (
    ("kafka", "sasl_password"),
    ("kafka", "sasl_oauth_client_secret"),
    ("kafka", "ssl_key_password"),
    ("fingerprint", "key"),
    ("telemetry", "token"),
    ("probe", "proxy_credentials"),
)
"""Keys whose values may come from the environment or a file, not from the settings file."""

LIVE: Final = frozenset(
    (
        ("consume", "envelopes"),
        ("consume", "max_in_flight"),
        ("consume", "commit_interval_ms"),
        ("consume", "drain_timeout_ms"),
        ("detect", "folders"),
        ("detect", "disable"),
        ("detect", "watch_interval_ms"),
        ("allow", "files"),
        ("allow", "inline"),
        ("publish", "min_confidence"),
        ("publish", "playbook_url"),
        ("rules", "listed"),
        *(("probe", key) for key in Probe.__struct_fields__),
        ("telemetry", "log_level"),
        ("telemetry", "token"),
        ("telemetry", "token_file"),
    )
)
"""Keys that SIGHUP takes in while the service runs; all others need new processes."""

_ALIASES: Final = {
    "KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"),
    "KAFKA_BROKERS": ("kafka", "bootstrap_servers"),
    "KAFKA_GROUP_ID": ("kafka", "group_id"),
    "KAFKA_CLIENT_ID": ("kafka", "client_id"),
    "KAFKA_SECURITY_PROTOCOL": ("kafka", "security_protocol"),
    "KAFKA_SASL_MECHANISM": ("kafka", "sasl_mechanism"),
    "KAFKA_SASL_USERNAME": ("kafka", "sasl_username"),
    "KAFKA_SASL_PASSWORD": ("kafka", "sasl_password"),
    "KAFKA_SSL_CAFILE": ("kafka", "ssl_cafile"),
    "KAFKA_SSL_CA_LOCATION": ("kafka", "ssl_cafile"),
    "KAFKA_CA_PATH": ("kafka", "ssl_cafile"),
    "KAFKA_CERTIFICATE_PATH": ("kafka", "ssl_certfile"),
    "KAFKA_PRIVATE_KEY_PATH": ("kafka", "ssl_keyfile"),
    "LOG_LEVEL": ("telemetry", "log_level"),
    "PORT": ("telemetry", "port"),
}
_PREFIX: Final = "SLUICE_"


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings.

    Args:
        path: the TOML file; None for the environment and the defaults alone.
        environment: ``os.environ`` if None.

    Raises:
        SettingsError: naming the key, its place and what was expected.
    """
    environment = os.environ if environment is None else environment
    document = _file(path) if path is not None else {}
    for section, key in SECRET_KEYS:
        if key in document.get(section, {}):
            raise SettingsError(
                f"{path}: {section}.{key}: a secret does not belong into the file;"
                f" set {_PREFIX}{section.upper()}__{key.upper()} or {section}.{key}_file"
            )
    places = {(section, key): str(path) for section, table in document.items() for key in table}
    for section, key, value, name in _environment(environment):
        document.setdefault(section, {})[key] = value
        places[section, key] = name
    try:
        settings = msgspec.convert(document, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_told(str(error), places, path)) from error
    settings = _with_files(settings)
    _relations(settings)
    return settings


def stamp(files: Iterable[Path]) -> frozenset[tuple[str, int, int, int]]:
    """Names, sizes, times and inodes of files, of those that are there: they differ when one was changed."""
    found = []
    for path in files:
        with contextlib.suppress(OSError):
            about = path.stat()
            found.append((str(path), about.st_size, about.st_mtime_ns, about.st_ino))
    return frozenset(found)


def changed(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """The keys that differ, by name alone: those that can be taken in live, and those that cannot."""
    found: tuple[list[str], list[str]] = ([], [])
    for section in Settings.__struct_fields__:
        former, present = getattr(old, section), getattr(new, section)
        for key in present.__struct_fields__:
            if getattr(former, key) != getattr(present, key):
                found[(section, key) not in LIVE].append(f"{section}.{key}")
    return found


def with_live(old: Settings, new: Settings) -> Settings:
    """The old settings with those of the new ones that can be taken in live."""
    tables: dict[str, Any] = {}
    for section, key in LIVE:
        table = tables.get(section, getattr(old, section))
        tables[section] = msgspec.structs.replace(table, **{key: getattr(getattr(new, section), key)})
    return msgspec.structs.replace(old, **tables)


def _file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: this is no TOML: {error}") from error
    if "rules" in document:
        if not isinstance(document["rules"], list):
            raise SettingsError(f"{path}: rules: entries [[rules]] expected, each a table")
        document["rules"] = {"listed": document["rules"]}
    for section, table in document.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {section}: a table [{section}] expected")
    return document


def _environment(environment: Mapping[str, str]) -> list[tuple[str, str, Any, str]]:
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for name, place in _ALIASES.items():
        if environment.get(name):
            found.setdefault(place, (environment[name], name))
    for name, value in sorted(environment.items()):
        if not name.startswith(_PREFIX) or "__" not in name:
            continue
        section, _, key = name[len(_PREFIX) :].lower().partition("__")
        structure = Settings.__annotations__.get(section)
        if section == "rules":
            raise SettingsError(
                f"{name}: rules are tables [[rules]] of the settings file, and have no names in the environment"
            )
        if structure is None:
            raise SettingsError(
                f"{name}: there is no section {section!r}; {nearest(section, list(Settings.__struct_fields__))}"
            )
        found[section, key] = (value, name)
    parsed: list[tuple[str, str, Any, str]] = []
    for (section, key), (text, name) in found.items():
        kind = type(getattr(getattr(Settings(), section), key, None))
        parts = [part.strip() for part in text.split(",") if part.strip()]
        shaped: Any = text
        if kind is tuple:
            shaped = parts
        elif kind is dict:
            if wrong := [part for part in parts if "=" not in part]:
                raise SettingsError(f"{name}: {section}.{key}: name=value expected, found {wrong[0]!r}")
            shaped = dict(part.split("=", 1) for part in parts)
        parsed.append((section, key, shaped, name))
    return parsed


def _told(message: str, places: Mapping[tuple[str, str], str], path: Path | None) -> str:
    """msgspec's message with the key first and the place where it was read."""
    what, _, where = message.partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    if where.startswith("rules.listed["):
        where = where.replace("rules.listed", "rules", 1)
        if what.startswith("Object contains unknown field"):
            unknown = what.split("`")[1]
            return f"{path}: {where}.{unknown}: there is no such key; {nearest(unknown, Rule.__struct_fields__)}"
        return f"{path}: {where}: {what}"
    if what.startswith("Object contains unknown field"):
        unknown = what.split("`")[1]
        table: Any = getattr(Settings(), where, None) if where else Settings()
        known = list(table.__struct_fields__)
        place = places.get((where, unknown), str(path))
        return f"{place}: {where + '.' if where else ''}{unknown}: there is no such key; {nearest(unknown, known)}"
    section_name, _, key = where.partition(".")
    return f"{places.get((section_name, key.partition('[')[0]), str(path))}: {where}: {what}"


def _with_files(settings: Settings) -> Settings:
    """Reads what ``…_file`` keys name."""
    for section, key in SECRET_KEYS:
        table = getattr(settings, section)
        file = getattr(table, f"{key}_file")
        if file is None or getattr(table, key):
            continue
        try:
            value = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{section}.{key}_file: {file} cannot be read: {error}") from error
        settings = msgspec.structs.replace(settings, **{section: msgspec.structs.replace(table, **{key: value})})
    return settings


def is_loopback(host: str) -> bool:
    """True if only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _credentials(kafka: Kafka) -> None:
    """What the chosen way into the broker needs."""
    for server in kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise SettingsError(f"kafka.bootstrap_servers: host:port expected, found {server.strip()!r}")
    if kafka.ssl_keyfile and not kafka.ssl_certfile:
        raise SettingsError("kafka.ssl_certfile: the certificate of kafka.ssl_keyfile expected")
    if not kafka.security_protocol.startswith("SASL"):
        return
    if kafka.sasl_mechanism != "OAUTHBEARER":
        if not (kafka.sasl_username and kafka.sasl_password):
            raise SettingsError("kafka.sasl_username, kafka.sasl_password: both expected with kafka.security_protocol = SASL_…")
        return
    if kafka.sasl_oauth_token_file:
        return
    if not (kafka.sasl_oauth_url and kafka.sasl_oauth_client_id and kafka.sasl_oauth_client_secret):
        raise SettingsError(
            "kafka.sasl_oauth_url, kafka.sasl_oauth_client_id, kafka.sasl_oauth_client_secret: all expected with"
            " kafka.sasl_mechanism = OAUTHBEARER, or kafka.sasl_oauth_token_file"
        )
    url = urllib.parse.urlsplit(kafka.sasl_oauth_url)
    if url.username or url.password:
        raise SettingsError("kafka.sasl_oauth_url: no user or password in it; kafka.sasl_oauth_client_id is for that")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
        raise SettingsError("kafka.sasl_oauth_url: https://… expected, or the client's secret could be read on its way")


def _endpoint(telemetry: Telemetry) -> None:
    """Who may see the endpoint."""
    if telemetry.token is not None and len(telemetry.token) < 16:
        raise SettingsError("telemetry.token: 16 characters or more expected; `openssl rand -hex 32` makes a good one")
    if bool(telemetry.tls_certfile) != bool(telemetry.tls_keyfile):
        raise SettingsError("telemetry.tls_certfile, telemetry.tls_keyfile: both expected, or none")
    if telemetry.tls_client_cafile and not telemetry.tls_certfile:
        raise SettingsError("telemetry.tls_certfile: a certificate of our own expected with telemetry.tls_client_cafile")
    if telemetry.socket is None and not is_loopback(telemetry.host) and not (telemetry.token or telemetry.tls_client_cafile):
        raise SettingsError(
            f"telemetry.host: {telemetry.host} can be reached from outside; a token (SLUICE_TELEMETRY__TOKEN or"
            " telemetry.token_file) or client certificates (telemetry.tls_client_cafile) expected, or 127.0.0.1"
        )


def _relations(settings: Settings) -> None:
    """Settings that contradict each other."""
    kafka, consume = settings.kafka, settings.consume
    if not kafka.bootstrap_servers.strip():
        raise SettingsError("kafka.bootstrap_servers: host:port expected, more of them separated by commas")
    if kafka.heartbeat_interval_ms * 3 > kafka.session_timeout_ms:
        raise SettingsError("kafka.heartbeat_interval_ms: at most a third of kafka.session_timeout_ms expected")
    if consume.drain_timeout_ms >= kafka.session_timeout_ms:
        raise SettingsError(
            "consume.drain_timeout_ms: less than kafka.session_timeout_ms expected,"
            " or the group gives the partitions away while they drain"
        )
    if settings.publish.delivery == "exactly_once" and not kafka.idempotence:
        raise SettingsError("publish.delivery: exactly_once needs a broker with transactions, and kafka.idempotence = true")
    if not consume.topics and not consume.topic_pattern:
        raise SettingsError("consume.topics: at least one topic expected, or consume.topic_pattern")
    own = settings.own_topics
    if own & set(consume.topics):
        raise SettingsError(
            f"consume.topics: {min(own & set(consume.topics))} is where Sluice itself writes;"
            " reading it would go round for ever"
        )
    _credentials(kafka)
    _endpoint(settings.telemetry)
    for name, value, least in (
        ("consume.max_in_flight", consume.max_in_flight, 1),
        ("consume.commit_interval_ms", consume.commit_interval_ms, 0),
        ("consume.drain_timeout_ms", consume.drain_timeout_ms, 0),
        ("consume.fetch_max_wait_ms", consume.fetch_max_wait_ms, 0),
        ("consume.fetch_max_bytes", consume.fetch_max_bytes, 1),
        ("consume.max_partition_fetch_bytes", consume.max_partition_fetch_bytes, 1),
        ("consume.max_fetched_bytes", consume.max_fetched_bytes, 1),
        ("consume.new_topic_partitions", consume.new_topic_partitions, 1),
        ("repeats.window_seconds", settings.repeats.window_seconds, 1),
        ("repeats.update_interval_seconds", settings.repeats.update_interval_seconds, 0),
        ("repeats.most_secrets", settings.repeats.most_secrets, 1),
        ("verdicts.most", settings.verdicts.most, 1),
        ("detect.watch_interval_ms", settings.detect.watch_interval_ms, 100),
        ("kafka.session_timeout_ms", kafka.session_timeout_ms, 1),
        ("kafka.heartbeat_interval_ms", kafka.heartbeat_interval_ms, 1),
        ("kafka.max_poll_interval_ms", kafka.max_poll_interval_ms, 1),
        ("kafka.metadata_max_age_ms", kafka.metadata_max_age_ms, 100),
        ("dead_letters.max_consecutive", settings.dead_letters.max_consecutive, 1),
        ("probe.concurrency", settings.probe.concurrency, 1),
        ("probe.concurrency_per_provider", settings.probe.concurrency_per_provider, 1),
        ("probe.timeout_ms", settings.probe.timeout_ms, 1),
        ("probe.attempts", settings.probe.attempts, 1),
        ("probe.breaker_failures", settings.probe.breaker_failures, 1),
        ("probe.breaker_open_ms", settings.probe.breaker_open_ms, 1),
        ("probe.max_waiting", settings.probe.max_waiting, 1),
        ("probe.max_remembered", settings.probe.max_remembered, 0),
    ):
        if value < least:
            raise SettingsError(f"{name}: {least} or more expected, found {value}")
    if not 0 <= settings.telemetry.port <= 65_535:
        raise SettingsError(f"telemetry.port: a port, 0 to 65535, expected, found {settings.telemetry.port}")
    if consume.topic_pattern:
        try:
            re.compile(consume.topic_pattern)
        except re.error as error:
            raise SettingsError(f"consume.topic_pattern: an expression expected: {error}") from error
    if not 0 < settings.dead_letters.max_ratio <= 1:
        raise SettingsError("dead_letters.max_ratio: more than 0 and at most 1 expected")
    _probe(settings.probe)


def _probe(probe: Probe) -> None:
    """Where live checks go."""
    for name, urls in probe.endpoints.items():
        if not urls.split():
            raise SettingsError(f"probe.endpoints.{name}: https://host expected")
        for url in urls.split():
            _target(f"probe.endpoints.{name}", url, probe.allow_private)
    if probe.proxy is not None:
        parts = urllib.parse.urlsplit(probe.proxy)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.path.strip("/"):
            raise SettingsError("probe.proxy: http://host:port expected; a password goes into probe.proxy_credentials_file")
    if probe.rate_per_provider <= 0:
        raise SettingsError("probe.rate_per_provider: more than 0 requests a second expected")


def _target(key: str, url: str, private: Sequence[str]) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"{key}: https://host expected, with a port or a path where there is one; found {url!r}")
    if parts.scheme == "http" and parts.hostname not in map(str.lower, private):
        raise SettingsError(f"{key}: https expected; without TLS only what probe.allow_private names")
