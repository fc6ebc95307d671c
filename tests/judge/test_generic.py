"""Secrets of no known format: what somebody made up or generated, and what only stands where a secret would."""

import random
import string
import uuid
from collections.abc import Callable

import pytest

from service.decode import layers
from service.detect import catalogue, database
from service.detect.scanner import Scanner
from service.judge import evidence, score
from service.records import Confidence

Judge = Callable[[str], dict[str, Confidence]]
ALNUM = string.digits + string.ascii_letters


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    sources = [
        source
        for source in catalogue.read()
        if source.category in ("generic", "password_hash") or "json-web-token" in source.name
    ]
    return Scanner(database.build(catalogue.load(sources, evidence.names())), layers.unwrap)


@pytest.fixture
def judged(scanner: Scanner) -> Judge:
    """A text's findings: the raw secret and the confidence in it."""

    def look(text: str) -> dict[str, Confidence]:
        found = score.judge(scanner.candidates(text.encode()).found).findings
        return {finding.candidate.secret.reveal().decode(): finding.confidence for finding in found}

    return look


def key(length: int = 32, alphabet: str = ALNUM) -> str:
    """A generated key, with a digit in it."""
    rng = random.Random(length)
    return "".join(rng.choice(alphabet) for _ in range(length - 1)) + "7"


def password() -> str:
    return key(13) + "!"


@pytest.mark.parametrize(
    "line",
    [
        'password = "{}"',
        'db_password: "{}"',
        "DB_PASSWORD={}",
        "'passwd' => '{}',",
        'if (password == "{}") {{',
        '{{"password": "{}"}}',
        'String password = "{}";',
        "password: {}",
    ],
)
def test_a_made_up_password_is_found_however_it_is_assigned(judged: Judge, line: str) -> None:
    secret = password()

    assert judged(line.format(secret)) == {secret: Confidence.medium}


@pytest.mark.parametrize(
    "line",
    [
        "password = getpass()",
        "password = input('Password: ')",
        'password = os.environ["DB_PASSWORD"]',
        "const password = process.env.DB_PASSWORD;",
        "password=$DB_PASSWORD",
        "password: ${DB_PASSWORD}",
        'password = "{{ vault.password }}"',
        'password = "%(password)s"',
        "password = config.get('password')",
        "password: str | None = None",
        "password = self.settings.password",
        "password=request.form['password']",
        'password = "<your password>"',
        'password = "xxxxxxxx"',
        'password = "********"',
        'password = ""',
        'password = "undefined"',
        'password_file = "/run/secrets/db_password"',
        "DB_PASSWORD=/run/secrets/db",
        "password_min_length = 12",
        "you mean to pass 'verbose_name' here",
        "SUPPORTS_PASSIVE = 'x7Kq!window'",
        "key := ek.encryptionKey1024",
        "socks5h://<username>:<password>@proxy-host",
        "mlkem_key: mlkem.MLKEM1024PrivateKey,",
        "private_key: x25519.X25519PrivateKey",
    ],
)
def test_code_templates_and_words_for_a_password_are_none(judged: Judge, line: str) -> None:
    assert judged(line) == {}


@pytest.mark.parametrize(
    "weak",
    [
        "password",
        "changeme",
        "example-password",
        "hunter2",
        "sunshine",
        "correct-horse",
        "abc123",
        "12345678",
        "Summer",
        "qwerty123",
    ],
)
def test_a_weak_password_is_one_of_low_confidence(judged: Judge, weak: str) -> None:
    assert judged(f'password = "{weak}"') == {weak: Confidence.low}


@pytest.mark.parametrize(
    "line",
    ['api_key = "{}"', "API_KEY={}", '"client_secret": "{}"', "client_secret: {}", "const token = '{}';", "SIGNING_KEY={}"],
)
@pytest.mark.parametrize("length", [20, 32, 40, 64])
def test_a_generated_key_is_found_however_it_is_assigned(judged: Judge, line: str, length: int) -> None:
    secret = key(length)

    assert judged(line.format(secret)) == {secret: Confidence.medium}


@pytest.mark.parametrize(
    "line",
    [
        "token = secrets.token_hex(16)",
        'token = re.compile("[a-f0-9]{32}")',
        "api_key = os.getenv('API_KEY_1')",
        'api_key = "YOUR_API_KEY_1_HERE"',
        'token_url = "https://auth.invalid/oauth2/token"',
        'token = "2024-01-31T10:00:00"',
        'secret = "v1.2.3-release"',
        "secret_version = 1234567890",
        "token: request.token.value1",
    ],
)
def test_code_words_and_numbers_are_no_keys(judged: Judge, line: str) -> None:
    assert judged(line) == {}


@pytest.mark.parametrize(
    "value", ["abcdefghijklmnopqrstuvwxyz0123456789", "my-service-api-key-v2", "aaaaaaaaaaaaaaaa1", "development#product"]
)
def test_words_and_walks_in_the_place_of_a_key_are_of_low_confidence(judged: Judge, value: str) -> None:
    assert judged(f'secret = "{value}"') == {value: Confidence.low}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user = deploy\npassword = open_sesame\n", ["open_sesame"]),
        ("username: 'deploy'\n# of the mail server\npassword: 'open sesame'\n", ["open sesame"]),
        ("user = user\npassword = password\n", []),
        ("colour = blue\npassword = open_sesame\n", []),
    ],
)
def test_words_below_the_name_of_a_user_are_a_password(judged: Judge, text: str, found: list[str]) -> None:
    assert judged(text) == dict.fromkeys(found, Confidence.low)


def test_a_short_key_in_a_header_of_a_curl_command_is_found(judged: Judge) -> None:
    value = "K9" + key(9)

    assert list(judged(f'curl -X POST --header "Api-Token: {value}"')) == [value]
    assert judged('curl -H "Api-Token: $TOKEN" https://api.internal.corp') == {}


def test_an_identifier_or_a_digest_is_no_sure_key(judged: Judge) -> None:
    rng = random.Random(1)
    identifier = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    digest = f"{rng.getrandbits(160):040x}"

    for value in (identifier, digest):
        assert judged(f'token = "{value}"').get(value, Confidence.low) is Confidence.low
    assert judged(f'private_key = "{digest}"') == {digest: Confidence.medium}


class TestUrls:
    def test_a_password_before_a_host_is_sure(self, judged: Judge) -> None:
        secret = password()

        assert judged(f"https://deploy:{secret}@git.acme.dev/app") == {secret: Confidence.high}

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "example.com", "db.example.org", "[::1]"])
    def test_before_a_host_of_examples_it_is_not(self, judged: Judge, host: str) -> None:
        secret = password()

        assert judged(f"https://deploy:{secret}@{host}/app") == {secret: Confidence.low}

    def test_a_host_that_only_begins_like_one_of_examples_is_real(self, judged: Judge) -> None:
        secret = password()

        assert judged(f"https://deploy:{secret}@hosting.acme.dev/app") == {secret: Confidence.high}

    @pytest.mark.parametrize("word", ["password", "secret", "guest"])
    def test_a_well_known_word_is_not(self, judged: Judge, word: str) -> None:
        assert judged(f"https://deploy:{word}@git.acme.dev/app").get(word, Confidence.low) is Confidence.low

    @pytest.mark.parametrize("slot", ["${PASSWORD}", "$PASSWORD", "{password}", "%s", "****", "<password>"])
    def test_a_slot_is_none(self, judged: Judge, slot: str) -> None:
        assert judged(f"https://deploy:{slot}@git.acme.dev/app") == {}

    @pytest.mark.parametrize(
        "url",
        [
            "mongodb://username:password@cluster.acme.dev/db",
            "postgres://postgres:postgres@localhost:5432/db",
            "mysql://app:app@127.0.0.1/db",
            "postgresql://user:secret@[2001:db8::1234]/database",
        ],
    )
    def test_words_of_documentation_and_defaults_of_ones_own_machine_are_none(self, judged: Judge, url: str) -> None:
        assert judged(url) == {}

    def test_a_walk_along_the_alphabet_is_not_sure(self, judged: Judge) -> None:
        assert judged("redis://app:abcdefghijklmnopqrs@cache.acme.dev") == {"abcdefghijklmnopqrs": Confidence.low}

    @pytest.mark.parametrize("url", ["mysql://root:password@db.acme.dev/db", "postgres://postgres:postgres@db.acme.dev/db"])
    def test_weak_ones_of_other_machines_are_told(self, judged: Judge, url: str) -> None:
        assert set(judged(url).values()) == {Confidence.low}


class TestFormats:
    def test_a_password_hash_is_found(self, judged: Judge) -> None:
        hashed = "$2b$12$" + key(53)

        assert hashed in judged(f"hash: {hashed}")

    def test_a_password_hash_of_documentation_is_not(self, judged: Judge) -> None:
        assert judged("hash: $2b$12$" + "a" * 53) == {}

    def test_basic_credentials_are_found_and_their_failure_lowers_the_confidence(self, judged: Judge) -> None:
        secret = evidence.complete("basic-auth", key(40).encode()).decode()
        broken = key(40)

        assert judged(f"Authorization: Basic {secret}") == {secret: Confidence.high}
        assert judged(f"Authorization: Basic {broken}").get(broken, Confidence.low) is Confidence.low
