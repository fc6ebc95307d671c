"""Settings: a file and the environment, and what is told when one of them is wrong."""

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from service import settings as module
from service.errors import SettingsError
from service.settings import SECRET_KEYS, Settings


class Place:
    """A folder with a settings file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "sluice.toml"

    def load(self, text: str = "", environment: Mapping[str, str] | None = None) -> Settings:
        self.file.write_text(text, "utf-8")
        return module.load(self.file, environment or {})

    def refused(self, text: str = "", environment: Mapping[str, str] | None = None) -> str:
        with pytest.raises(SettingsError) as error:
            self.load(text, environment)
        return str(error.value)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nothing_at_all_gives_the_defaults() -> None:
    assert module.load(None, {}) == Settings()


def test_the_file_is_read(place: Place) -> None:
    loaded = place.load(
        '[kafka]\nbootstrap_servers = "kafka:9092"\n[consume]\ntopics = ["a", "b"]\n[consume.envelopes]\na = "otlp"'
    )

    assert loaded.kafka.bootstrap_servers == "kafka:9092"
    assert (loaded.consume.topics, loaded.consume.envelopes) == (("a", "b"), {"a": "otlp"})
    assert loaded.publish == Settings().publish


@pytest.mark.parametrize(
    ("name", "value", "section", "key", "expected"),
    [
        ("SLUICE_KAFKA__GROUP_ID", "ours", "kafka", "group_id", "ours"),
        ("SLUICE_CONSUME__TOPICS", "a, b,", "consume", "topics", ("a", "b")),
        ("SLUICE_CONSUME__ENVELOPES", "a=otlp, b=native", "consume", "envelopes", {"a": "otlp", "b": "native"}),
        ("SLUICE_CONSUME__MAX_IN_FLIGHT", "50", "consume", "max_in_flight", 50),
        ("SLUICE_CONSUME__CREATE_TOPICS", "false", "consume", "create_topics", False),
        ("SLUICE_DEAD_LETTERS__MAX_RATIO", "0.5", "dead_letters", "max_ratio", 0.5),
        ("SLUICE_PUBLISH__MIN_CONFIDENCE", "low", "publish", "min_confidence", "low"),
        ("KAFKA_BOOTSTRAP_SERVERS", "one:9092,two:9092", "kafka", "bootstrap_servers", "one:9092,two:9092"),
        ("KAFKA_BROKERS", "one:9092", "kafka", "bootstrap_servers", "one:9092"),
        ("KAFKA_GROUP_ID", "ours", "kafka", "group_id", "ours"),
        ("KAFKA_CLIENT_ID", "us", "kafka", "client_id", "us"),
        ("KAFKA_SECURITY_PROTOCOL", "SSL", "kafka", "security_protocol", "SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "kafka", "sasl_mechanism", "SCRAM-SHA-512"),
        ("KAFKA_SSL_CA_LOCATION", "/ca.pem", "kafka", "ssl_cafile", "/ca.pem"),
        ("LOG_LEVEL", "debug", "telemetry", "log_level", "debug"),
        ("PORT", "8080", "telemetry", "port", 8080),
    ],
)
def test_the_environment_is_read(name: str, value: str, section: str, key: str, expected: object) -> None:
    assert getattr(getattr(module.load(None, {name: value}), section), key) == expected


@pytest.mark.parametrize(
    ("section", "key"),
    [(section, key) for section, table in msgspec.to_builtins(Settings()).items() for key in table if section != "rules"],
)
def test_every_key_has_its_name_in_the_environment(section: str, key: str) -> None:
    """A value that fits no type but text's is either taken or told with this key, never with another one."""
    told = ""
    loaded = Settings()
    try:
        loaded = module.load(None, {f"SLUICE_{section}__{key}".upper(): "a=nonsense"})
    except SettingsError as error:
        told = str(error)

    assert f" {section}.{key}" in f" {told}" or loaded != Settings()
    assert "no such key" not in told


def test_the_environment_wins_over_the_file_and_the_own_name_over_the_usual_one(place: Place) -> None:
    text = '[kafka]\ngroup_id = "file"\nclient_id = "file"\nbootstrap_servers = "file:1"'
    environment = {
        "SLUICE_KAFKA__GROUP_ID": "own",
        "KAFKA_GROUP_ID": "usual",
        "KAFKA_CLIENT_ID": "usual",
        "KAFKA_BOOTSTRAP_SERVERS": "",
    }

    kafka = place.load(text, environment).kafka

    assert (kafka.group_id, kafka.client_id, kafka.bootstrap_servers) == ("own", "usual", "file:1")


def test_nothing_is_interpolated(place: Place) -> None:
    text = '[kafka]\ngroup_id = "${HOME}-$USER-%(x)s"'

    assert place.load(text, {"HOME": "/root", "USER": "me"}).kafka.group_id == "${HOME}-$USER-%(x)s"


def test_other_names_of_the_environment_are_nobodys_business() -> None:
    assert module.load(None, {"SLUICE_CACHE": "/tmp", "PATH": "/bin", "KAFKA_HOME": "/opt"}) == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[kafka]\ngroup = 'x'", ["kafka.group", "no such key", "group_id"]),
        ("[kafak]\ngroup_id = 'x'", ["kafak", "no such key", "kafka"]),
        ("kafka = 5", ["kafka", "a table [kafka] expected"]),
        ("[telemetry]\nport = 'many'", ["telemetry.port", "int"]),
        ("[telemetry]\nlog_level = 'loud'", ["telemetry.log_level", "loud"]),
        ("[consume]\ntopics = [1]", ["consume.topics", "str"]),
        ("[consume]\ntopics = 'one'", ["consume.topics", "array"]),
        ("[consume]\nmax_in_flight = 1.5", ["consume.max_in_flight", "int"]),
        ("[publish]\nmin_confidence = 'sure'", ["publish.min_confidence", "sure"]),
        ("[kafka\n", ["TOML"]),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_key_place_and_expectation(place: Place, text: str, told: list[str]) -> None:
    message = place.refused(text)

    assert message.startswith(f"{place.file}: ")
    for word in told:
        assert word in message


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SLUICE_KAFKA__GROUP", "x", ["kafka.group", "no such key", "group_id"]),
        ("SLUICE_KAFAK__GROUP_ID", "x", ["kafak", "kafka"]),
        ("SLUICE_TELEMETRY__PORT", "many", ["telemetry.port", "int"]),
        ("PORT", "many", ["telemetry.port", "int"]),
        ("LOG_LEVEL", "loud", ["telemetry.log_level", "loud"]),
        ("SLUICE_CONSUME__ENVELOPES", "a", ["consume.envelopes", "a"]),
    ],
)
def test_what_is_wrong_in_the_environment_is_told_with_its_name(place: Place, name: str, value: str, told: list[str]) -> None:
    message = place.refused("[telemetry]\nport = 1\n", {name: value})

    assert message.startswith(f"{name}: ")
    for word in told:
        assert word in message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file"):
        module.load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(("section", "key"), SECRET_KEYS)
class TestSecrets:
    def test_the_file_must_not_hold_one_and_the_message_does_not_repeat_it(self, place: Place, section: str, key: str) -> None:
        secret = secrets.token_hex(16)

        message = place.refused(f'[{section}]\n{key} = "{secret}"')

        for word in (str(place.file), f"{section}.{key}", f"SLUICE_{section}__{key}".upper(), f"{section}.{key}_file"):
            assert word in message
        assert secret not in message

    def test_the_environment_may(self, place: Place, section: str, key: str) -> None:
        secret = secrets.token_hex(16)

        loaded = place.load("", {f"SLUICE_{section}__{key}".upper(): secret})

        assert getattr(getattr(loaded, section), key) == secret

    def test_a_file_of_its_own_may_its_last_line_break_left_out(self, place: Place, section: str, key: str) -> None:
        secret = secrets.token_hex(16)
        (place.folder / "key").write_text(secret + "\n")

        loaded = place.load(f"[{section}]\n{key}_file = '{place.folder / 'key'}'")

        assert getattr(getattr(loaded, section), key) == secret

    def test_the_environment_wins_over_that_file(self, place: Place, section: str, key: str) -> None:
        (place.folder / "key").write_text("from the file")

        loaded = place.load(
            f"[{section}]\n{key}_file = '{place.folder / 'key'}'", {f"SLUICE_{section}__{key}".upper(): "from the environment"}
        )

        assert getattr(getattr(loaded, section), key) == "from the environment"

    def test_a_file_that_is_not_there_is_told(self, place: Place, section: str, key: str) -> None:
        message = place.refused(f"[{section}]\n{key}_file = '{place.folder / 'none'}'")

        assert f"{section}.{key}_file" in message
        assert "none" in message

    def test_no_form_of_the_settings_shows_it(self, place: Place, section: str, key: str) -> None:
        secret = secrets.token_hex(16)
        loaded = place.load("", {f"SLUICE_{section}__{key}".upper(): secret})

        for shown in (repr(loaded), str(loaded), f"{loaded}", repr(getattr(loaded, section))):
            assert secret not in shown


BEARER = "[kafka]\nsecurity_protocol = 'SASL_SSL'\nsasl_mechanism = 'OAUTHBEARER'"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[kafka]\nbootstrap_servers = ' '", ["kafka.bootstrap_servers"]),
        ("[kafka]\nheartbeat_interval_ms = 20000", ["kafka.heartbeat_interval_ms", "kafka.session_timeout_ms"]),
        ("[consume]\ndrain_timeout_ms = 30000", ["consume.drain_timeout_ms", "kafka.session_timeout_ms"]),
        ("[consume]\ntopics = []", ["consume.topics", "consume.topic_pattern"]),
        ("[consume]\ntopics = ['sluice.alerts']", ["consume.topics", "sluice.alerts"]),
        ("[consume]\ntopics = ['a', 'sluice.dead-letters']", ["consume.topics", "sluice.dead-letters"]),
        ("[publish]\ntopic = 'sluice.events'", ["consume.topics", "sluice.events"]),
        ("[kafka]\nsecurity_protocol = 'SASL_SSL'", ["kafka.sasl_username", "kafka.sasl_password"]),
        ("[kafka]\nbootstrap_servers = 'kafka'", ["kafka.bootstrap_servers", "host:port", "'kafka'"]),
        ("[kafka]\nbootstrap_servers = 'a:9092,b:many'", ["kafka.bootstrap_servers", "'b:many'"]),
        ("[kafka]\nssl_keyfile = 'key'", ["kafka.ssl_certfile"]),
        (BEARER, ["kafka.sasl_oauth_url", "kafka.sasl_oauth_client_secret", "kafka.sasl_oauth_token_file"]),
        ("[telemetry]\nhost = '0.0.0.0'", ["telemetry.host", "0.0.0.0", "SLUICE_TELEMETRY__TOKEN", "tls_client_cafile"]),
        ("[telemetry]\nhost = '::'", ["telemetry.host"]),
        ("[telemetry]\nhost = 'sluice.internal'", ["telemetry.host"]),
        ("[telemetry]\ntls_certfile = 'crt'", ["telemetry.tls_certfile", "telemetry.tls_keyfile"]),
        ("[telemetry]\ntls_client_cafile = 'ca'", ["telemetry.tls_certfile", "telemetry.tls_client_cafile"]),
        ("[dead_letters]\nmax_ratio = 0", ["dead_letters.max_ratio"]),
        ("[dead_letters]\nmax_ratio = 1.5", ["dead_letters.max_ratio"]),
        ("[telemetry]\nport = 70000", ["telemetry.port"]),
        ("[telemetry]\nport = -1", ["telemetry.port"]),
        ("[consume]\nmax_in_flight = 0", ["consume.max_in_flight"]),
        ("[consume]\ncommit_interval_ms = -5", ["consume.commit_interval_ms"]),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(place: Place, text: str, told: list[str]) -> None:
    message = place.refused(text)

    for word in told:
        assert word in message


def test_settings_that_only_touch_their_limits_are_fine(place: Place) -> None:
    place.load(
        "[kafka]\nheartbeat_interval_ms = 10000\nsession_timeout_ms = 30000\n"
        "[consume]\ndrain_timeout_ms = 29999\ntopics = []\ntopic_pattern = 'logs[.].*'\n[dead_letters]\nmax_ratio = 1"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_the_endpoint_is_open_to_this_machine(place: Place, host: str) -> None:
    place.load(f"[telemetry]\nhost = '{host}'")


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("host = '0.0.0.0'", {"SLUICE_TELEMETRY__TOKEN": secrets.token_hex(16)}),
        ("host = '0.0.0.0'\ntls_certfile = 'crt'\ntls_keyfile = 'key'\ntls_client_cafile = 'ca'", {}),
        ("host = '0.0.0.0'\nsocket = '/run/sluice.sock'", {}),
    ],
)
def test_the_endpoint_is_open_to_others_only_with_a_key(place: Place, text: str, environment: dict[str, str]) -> None:
    place.load(f"[telemetry]\n{text}", environment)


def test_a_short_token_is_refused_and_not_repeated(place: Place) -> None:
    message = place.refused("", {"SLUICE_TELEMETRY__TOKEN": "k9" * 4})

    assert "telemetry.token: 16 characters" in message
    assert "k9" not in message


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://idp.example/token", "https://"),
        ("ftp://idp.example/token", "https://"),
        ("https://us:word@idp.example/token", "no user or password"),
    ],
)
def test_a_token_endpoint_that_would_give_the_secret_away_is_refused(place: Place, url: str, told: str) -> None:
    text = f"{BEARER}\nsasl_oauth_url = '{url}'\nsasl_oauth_client_id = 'us'"
    environment = {"SLUICE_KAFKA__SASL_OAUTH_CLIENT_SECRET": secrets.token_hex(16)}

    message = place.refused(text, environment)

    assert "kafka.sasl_oauth_url" in message
    assert told in message
    assert "word" not in message.replace("password", "")


def test_rules_are_read_in_their_order(place: Place) -> None:
    text = '[[rules]]\ncategory = "payment"\nseverity = "critical"\n[[rules]]\npath = ["a/", "b/"]\ndrop = true\n'

    first, second = place.load(text).rules.listed

    assert (first.category, first.severity, second.path, second.drop) == ("payment", "critical", ("a/", "b/"), True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[rules]]\ncategroy = "payment"\n', "rules[0].categroy: there is no such key; did you mean 'category'?"),
        ('[[rules]]\ncategory = "a"\nseverity = "worst"\n', "rules[0].severity"),
        ('[rules]\ncategory = "a"\n', "entries [[rules]] expected"),
    ],
)
def test_what_is_wrong_with_a_rule_is_told(place: Place, text: str, told: str) -> None:
    assert told in place.refused(text)


def test_rules_have_no_names_in_the_environment() -> None:
    with pytest.raises(SettingsError, match="settings file"):
        module.load(None, {"SLUICE_RULES__LISTED": "a"})
