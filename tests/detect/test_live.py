"""Live checks of the files: a secret goes to a fixed host or an operator's, and both answers can be told apart."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.detect import catalogue, live
from service.detect.catalogue import Source
from service.errors import DetectorError
from service.judge import evidence
from service.probe import request
from service.records import PLACEHOLDER, Answer, Detector

GOOD = """
provider = "Acme"
[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acme_[a-z0-9]{32}'
companions = ["tenant"]
examples = ["TOKEN={secret}"]
[secret.live]
url = "https://{tenant}.acme.com/v1/me?limit=1"
headers = { Authorization = "Bearer {secret}" }
"""
BEARER = 'headers = { Authorization = "Bearer {secret}" }'
URL = 'url = "https://{tenant}.acme.com/v1/me?limit=1"'


def load(text: str) -> list[Detector]:
    return catalogue.load([Source("cloud", "cloud/acme.toml", text.encode())], evidence.names(), request.names())


def test_a_good_table_is_taken() -> None:
    (detector,) = load(GOOD)

    assert detector.live is not None
    assert (detector.live.origin, detector.live.path) == ("https://{tenant}.acme.com", "/v1/me?limit=1")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("https://{tenant}.acme.com", "http://acme.com", "live.url: https:// expected"),
        ("https://{tenant}.acme.com", "https://{tenant}", "live.url: '{tenant}'"),
        ("https://{tenant}.acme.com", "https://{tenant}.com", "at most its first label a companion"),
        ("https://{tenant}.acme.com", "https://{secret}.acme.com", "the secret may not choose the host"),
        ("https://{tenant}.acme.com", "https://acme.{tenant}.com", "at most its first label a companion"),
        ("https://{tenant}.acme.com", "https://acme.com@{tenant}", "a fixed host"),
        ("https://{tenant}.acme.com", "https://{tenant}@acme.com", "a fixed host"),
        ("https://{tenant}.acme.com", "https://127.0.0.1", "a fixed host"),
        ("https://{tenant}.acme.com", "https://ACME.com", "a fixed host in lower case"),
        ("https://{tenant}.acme.com", "https://acme", "a fixed host"),
        ("https://{tenant}.acme.com", "", "live.endpoint"),
        ("?limit=1", "#x", "live.url: ASCII without blanks"),
        ("Bearer {secret}", "Bearer abc", "live.url: {secret} is sent nowhere"),
        ("Bearer {secret}", "{secret} {other}", "live.headers: {other}"),
        (BEARER, BEARER + '\nalso = ["https://evil"]', "live.also"),
        (BEARER, BEARER + '\nalso = ["https://a.acme.com/x"]', "live.also"),
        (BEARER, BEARER + '\npart = "acme_(["', "live.part"),
        (BEARER, BEARER + '\npart = "acme_.*"', "live.part: an expression with one group"),
        (BEARER, 'headers = { Host = "{secret}" }', "live.headers: 'Host'"),
        (BEARER, 'headers = { "A B" = "{secret}" }', "live.headers: 'A B'"),
        (BEARER, 'basic = "{secret}"', "live.basic: user:password"),
        (BEARER, 'form = { a = "{secret}" }', "live.method: POST expected"),
        (BEARER, 'method = "POST"\nform = { a = "{secret}" }\njson = {}', "live.json"),
        (BEARER, 'method = "DELETE"\n' + BEARER, "acme-token: Invalid enum value 'DELETE'"),
        (BEARER, BEARER + '\nsign = { id = "x" }', "live.sign"),
        (BEARER, BEARER + '\nsign = { by = "nobody" }', "live.sign: there is no 'nobody'"),
        (BEARER, BEARER + '\nreader = "nobody"', "live.reader: there is no 'nobody'"),
        (BEARER, BEARER + "\nactive = []", "live.active: at least one"),
        (BEARER, BEARER + "\ninactive = []", "live.inactive: at least one"),
        (BEARER, BEARER + "\nactive = [{}]", "live.active: `status`, `json` or `text`"),
        (BEARER, BEARER + "\nactive = [302]", "live.active: a status"),
        (BEARER, BEARER + "\ninactive = [500]", "live.inactive: a status"),
        (BEARER, BEARER + "\nactive = [200, 401]", "live.inactive: 401 stands for two outcomes"),
        (BEARER, BEARER + '\nfacts = { "A b" = "x" }', "live.facts"),
        (BEARER, BEARER + '\nbody = "x"', "unknown field `body`"),
    ],
)
def test_each_mistake_is_told(old: str, new: str, told: str) -> None:
    assert old in GOOD

    with pytest.raises(DetectorError) as error:
        load(GOOD.replace(old, new))

    assert told in str(error.value)


@pytest.fixture(scope="module")
def asked() -> list[Detector]:
    return [one for one in catalogue.load(catalogue.read(), evidence.names(), request.names()) if one.live]


def test_at_least_two_hundred_providers_can_be_asked(asked: list[Detector]) -> None:
    assert len({detector.provider for detector in asked}) >= 200
    assert {"WePay", "Stripe", "GitHub", "GitLab", "Slack", "OpenAI", "Anthropic", "Twilio"} <= {
        detector.provider for detector in asked
    }


def test_every_host_is_fixed_or_the_operators(asked: list[Detector]) -> None:
    for detector in asked:
        table = detector.live
        assert table is not None
        for origin in (table.origin, *table.also):
            if not origin:
                assert table.endpoint, detector.id
                continue
            host = urlsplit(origin).netloc
            assert origin == f"https://{host}", detector.id
            label, _, rest = host.partition(".")
            assert not PLACEHOLDER.search(rest), detector.id
            assert "." in rest or not PLACEHOLDER.search(label), detector.id
            assert "{secret}" not in label, detector.id


def test_every_table_tells_both_outcomes_apart(asked: list[Detector]) -> None:
    for detector in asked:
        table = detector.live
        assert table is not None
        assert not list(live.faults(table, detector.companions, request.names())), detector.id
        if not table.reader:
            plain = {one for one in table.active if isinstance(one, int)}
            assert not plain & {one for one in table.inactive if isinstance(one, int)}, detector.id
            told = [one for one in table.active if isinstance(one, Answer)]
            assert not any(one in table.inactive for one in told), detector.id


def test_no_table_writes(asked: list[Detector]) -> None:
    for detector in asked:
        table = detector.live
        assert table is not None
        assert table.method in ("GET", "HEAD", "POST"), detector.id
        assert table.form.get("grant_type") not in ("refresh_token", "password"), detector.id
        for word in ("revoke", "delete", "rotate", "create", "send"):
            assert word not in table.path.lower(), (detector.id, word)


def test_registries_are_the_operators(asked: list[Detector]) -> None:
    for detector in asked:
        if detector.category == "package_registry":
            assert detector.live is not None
            assert not detector.live.origin, detector.id


def test_the_guide_names_every_key() -> None:
    guide = (Path(__file__).parents[2] / "detectors" / "README.md").read_text()

    for key in live.LiveCheck.__struct_fields__:
        assert f"`{key}`" in guide, key
