"""The offline checks: each knows a right value from a broken one, takes any bytes, and agrees with published vectors."""

import base64
import hashlib
import hmac
import json
import random
import string
from collections.abc import Callable
from typing import Final, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.judge import evidence
from service.records import CheckResult

DIGITS: Final = string.digits
LOWER: Final = string.digits + string.ascii_lowercase
ALNUM: Final = string.digits + string.ascii_letters
BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

INDEX = bytes((112, 121, 112, 105, 46, 111, 114, 103))
"""The Python index, as its tokens name it."""


def run(name: str, secret: bytes, before: bytes = b"", after: bytes = b"") -> CheckResult:
    return evidence.by_name(name).check(secret, before, after)


def draw(rng: random.Random, alphabet: str, length: int) -> bytes:
    return "".join(rng.choice(alphabet) for _ in range(length)).encode()


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def document(**members: object) -> bytes:
    return base64url(json.dumps(members).encode())


def crc32(data: bytes) -> int:
    """CRC-32 bit by bit, from its polynomial alone."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0xEDB88320 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def crc16_xmodem(data: bytes) -> int:
    """CRC-16/XMODEM bit by bit, from its polynomial alone."""
    state = 0
    for byte in data:
        state ^= byte << 8
        for _ in range(8):
            state = (state << 1 ^ (0x1021 if state & 0x8000 else 0)) & 0xFFFF
    return state


def base58check(payload: bytes) -> bytes:
    whole = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(whole), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text.encode()


def change(at: int, letters: bytes = b"ab") -> Callable[[bytes], bytes]:
    """Changes the character at this place for one of these letters."""

    def changed(secret: bytes) -> bytes:
        place = at % len(secret)
        letter = letters[:1] if secret[place] != letters[0] else letters[1:]
        return secret[:place] + letter + secret[place + 1 :]

    return changed


def armour(label: bytes, body: bytes) -> bytes:
    return b"-----BEGIN " + label + b"-----\n" + body.strip() + b"\n-----END " + label + b"-----"


def pem(rng: random.Random) -> bytes:
    return armour(b"PRIVATE KEY", draw(rng, ALNUM, 64))


def generated_pem() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).strip()


class Case(NamedTuple):
    """How a check is put to the test."""

    make: Callable[[random.Random], bytes]
    """A value of the right shape, which ``complete`` then puts right."""
    good: str
    """The outcome of the value put right."""
    broken: Callable[[bytes], bytes] = change(-1)
    """The right value with one thing wrong."""
    bad: str = "failed"
    """The outcome of the broken value; ``told apart`` where only reason or facts differ."""


CASES: Final[dict[str, Case]] = {
    "atlassian-crc32": Case(lambda r: b"ATATT3" + draw(r, ALNUM, 186) + b"=" + bytes(8), "passed", change(40)),
    "aws-account-id": Case(
        lambda r: b"AKIA" + draw(r, string.ascii_uppercase + "234567", 16), "neutral", lambda s: b"AKIA1" + s[5:], "told apart"
    ),
    "azure-identifiable": Case(lambda r: base64.b64encode(r.randbytes(39)), "neutral", lambda s: s[:-8], "told apart"),
    "base58check": Case(lambda r: base58check(b"\x80" + r.randbytes(32))[:-1] + b"1", "passed", change(10)),
    "basic-auth": Case(lambda r: base64.b64encode(draw(r, ALNUM, 30)), "passed", lambda s: base64.b64encode(b"no-colon-here")),
    "bip39": Case(lambda r: r.randbytes(16), "passed", lambda s: s.rpartition(b" ")[0] + b" xyzzy", "placeholder"),
    "bech32": Case(lambda r: b"age1" + draw(r, BECH32, 58), "passed", change(20)),
    "confluent-crc32": Case(lambda r: b"cflt" + draw(r, ALNUM, 60), "passed", change(20)),
    "discord-bot-token": Case(
        lambda r: draw(r, ALNUM, 24) + b"." + draw(r, ALNUM, 6) + b"." + draw(r, ALNUM, 27),
        "passed",
        lambda s: base64url(b"not a user's id!!!") + s[24:],
    ),
    "github-crc32": Case(lambda r: b"ghp_" + draw(r, ALNUM, 36), "passed", change(9)),
    "github-pat-crc32": Case(lambda r: b"github_pat_" + draw(r, ALNUM, 22) + b"_" + draw(r, ALNUM, 59), "passed", change(60)),
    "gitlab-routable": Case(lambda r: b"glpat-" + draw(r, ALNUM, 27) + b".0r" + draw(r, LOWER, 7), "passed", change(10)),
    "google-service-account": Case(
        lambda r: b'{"private_key": "' + pem(r).replace(b"\n", b"\\n") + b'"}', "passed", lambda s: s.replace(b"\\nM", b"\\na")
    ),
    "grafana-cloud-json": Case(
        lambda r: b"glc_" + base64.b64encode(json.dumps({"o": "4711", "n": "ci", "k": draw(r, ALNUM, 24).decode()}).encode()),
        "passed",
        change(4),
        "neutral",
    ),
    "grafana-crc32": Case(lambda r: b"glsa_" + draw(r, ALNUM, 32) + b"_" + bytes(8), "passed", change(10)),
    "jwt": Case(
        lambda r: b".".join((document(alg="HS256"), document(sub=draw(r, DIGITS, 6).decode()), base64url(r.randbytes(32)))),
        "passed",
        change(0),
    ),
    "macaroon": Case(
        lambda r: b"pypi-" + base64url(b"\x02\x01\x08" + INDEX + b"\x02\x10" + r.randbytes(60)), "passed", change(5), "neutral"
    ),
    "mapbox-token": Case(
        lambda r: b"sk." + document(u="someone", a=draw(r, LOWER, 24).decode()) + b"." + draw(r, ALNUM, 22), "passed", change(3)
    ),
    "password-hash": Case(lambda r: b"$2b$12$" + draw(r, ALNUM, 53), "passed", lambda s: s[:7] + b"a" * 53, "placeholder"),
    "private-key": Case(pem, "passed", lambda s: s.replace(b"\nM", b"\na", 1)),
    "secp256k1": Case(lambda r: b"%064x" % r.randrange(1, ORDER), "neutral", lambda s: s[:-1] + b"g"),
    "sentry-org-token": Case(
        lambda r: (
            b"sntrys_"
            + base64.b64encode(json.dumps({"iat": 1, "url": "https://sentry.io", "org": "acme"}).encode())
            + b"_"
            + draw(r, ALNUM, 43)
        ),
        "passed",
        change(7),
        "neutral",
    ),
    "stellar-strkey": Case(lambda r: draw(r, string.ascii_uppercase, 56), "passed", change(20, b"AB")),
    "telegram-bot-token": Case(
        lambda r: b"7" + draw(r, DIGITS, 9) + b":AA" + draw(r, ALNUM, 33), "neutral", change(3), "told apart"
    ),
    "zuplo-crc32": Case(lambda r: b"zpka_" + draw(r, LOWER, 32) + b"_" + bytes(8), "passed", change(10)),
}
NAMES: Final = sorted(evidence.names())


def right(name: str, seed: int) -> bytes:
    return evidence.complete(name, CASES[name].make(random.Random(seed)))


def test_every_check_has_a_case_and_every_case_a_check() -> None:
    assert set(CASES) == evidence.names()


@pytest.mark.parametrize("name", NAMES)
def test_a_check_is_known_by_the_name_of_its_file(name: str) -> None:
    assert name == evidence.by_name(name).NAME


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        evidence.by_name("crc99")


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 2**32))
def test_a_right_value_is_told_from_a_broken_one(name: str, seed: int) -> None:
    case = CASES[name]
    secret = right(name, seed)
    broken = case.broken(secret)
    good, bad = run(name, secret), run(name, broken)

    assert broken != secret
    assert good.outcome == case.good
    if case.bad == "told apart":
        assert bad != good
    else:
        assert bad.outcome == case.bad


CHECKSUMS: Final = {
    "atlassian-crc32": 0,
    "base58check": 0,
    "bech32": 0,
    "confluent-crc32": 4,
    "github-crc32": 4,
    "github-pat-crc32": 34,
    "gitlab-routable": 0,
    "grafana-crc32": 0,
    "stellar-strkey": 0,
    "zuplo-crc32": 5,
}
"""Checks that cover every letter and digit from this place on."""


@pytest.mark.parametrize("name", CHECKSUMS)
@given(st.data(), st.integers(0, 2**32))
def test_a_checksum_sees_any_other_letter_anywhere(name: str, data: st.DataObject, seed: int) -> None:
    secret = right(name, seed)
    at = data.draw(st.sampled_from([at for at in range(CHECKSUMS[name], len(secret)) if chr(secret[at]).isalnum()]))
    letter = data.draw(
        st.sampled_from([byte for byte in (BECH32 if name == "bech32" else ALNUM).encode() if byte != secret[at]])
    )

    assert run(name, secret[:at] + bytes((letter,)) + secret[at + 1 :]).outcome == "failed"


@pytest.mark.parametrize("name", NAMES)
@given(st.binary(max_size=300), st.binary(max_size=40), st.binary(max_size=40))
def test_no_bytes_make_a_check_raise(name: str, secret: bytes, before: bytes, after: bytes) -> None:
    assert_well_formed(run(name, secret, before, after))


@pytest.mark.parametrize("name", NAMES)
@given(st.data(), st.integers(0, 2**32), st.binary(max_size=30))
def test_no_damage_to_a_right_value_makes_a_check_raise(name: str, data: st.DataObject, seed: int, patch: bytes) -> None:
    secret = right(name, seed)
    start = data.draw(st.integers(0, len(secret)))
    stop = data.draw(st.integers(start, len(secret)))

    assert_well_formed(run(name, secret[:start] + patch + secret[stop:]))


def assert_well_formed(result: CheckResult) -> None:
    assert isinstance(result, CheckResult)
    assert result.outcome in ("passed", "failed", "placeholder", "neutral")
    assert result.reason
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in result.facts.items())


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 2**32))
def test_the_reason_holds_no_part_of_the_secret(name: str, seed: int) -> None:
    secret = right(name, seed)
    reason = run(name, secret).reason.encode()

    length = 14 if name == "bip39" else 6  # a phrase is made of words, and `check` is one of them
    assert not [secret[at : at + length] for at in range(len(secret) - length + 1) if secret[at : at + length] in reason]


class TestCrc32:
    def test_the_reference_is_the_published_algorithm(self) -> None:
        assert crc32(b"123456789") == 0xCBF43926

    @pytest.mark.parametrize("prefix", [b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"npm_"])
    @given(st.text(ALNUM, min_size=30, max_size=30).map(str.encode))
    def test_github_and_npm_write_that_of_thirty_characters_in_base62(self, prefix: bytes, body: bytes) -> None:
        digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
        number, written = crc32(body), ""
        for _ in range(6):
            number, digit = divmod(number, 62)
            written = digits[digit] + written

        assert run("github-crc32", prefix + body + written.encode()).outcome == "passed"

    @pytest.mark.parametrize("covers_first_part", [True, False])
    def test_github_fine_grained_tokens_may_cover_either_part(self, covers_first_part: bool) -> None:
        digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
        rng = random.Random(1)
        first, last = draw(rng, ALNUM, 22), draw(rng, ALNUM, 53)
        number, written = crc32(first + b"_" + last if covers_first_part else last), ""
        for _ in range(6):
            number, digit = divmod(number, 62)
            written = digits[digit] + written

        assert run("github-pat-crc32", b"github_pat_" + first + b"_" + last + written.encode()).outcome == "passed"

    @given(st.text(ALNUM, min_size=20, max_size=190).map(str.encode))
    def test_atlassian_writes_that_of_all_before_it_in_upper_case_hex(self, body: bytes) -> None:
        whole = b"ATATT3" + body + b"="

        assert run("atlassian-crc32", whole + f"{crc32(whole):08X}".encode()).outcome == "passed"

    @given(st.text(ALNUM, min_size=32, max_size=32).map(str.encode))
    def test_grafana_writes_it_with_the_prefix_in_little_endian_hex(self, body: bytes) -> None:
        check = crc32(b"glsa_" + body).to_bytes(4, "little").hex().encode()

        assert run("grafana-crc32", b"glsa_" + body + b"_" + check).outcome == "passed"

    @given(st.text(ALNUM, min_size=54, max_size=54).map(str.encode))
    def test_confluent_writes_it_in_little_endian_base64(self, body: bytes) -> None:
        check = base64.b64encode(crc32(body).to_bytes(4, "little"))[:6]

        assert run("confluent-crc32", b"cflt" + body + check).outcome == "passed"

    @given(st.text(LOWER, min_size=32, max_size=32).map(str.encode))
    def test_zuplo_writes_that_of_the_body_in_hex(self, body: bytes) -> None:
        assert run("zuplo-crc32", b"zpka_" + body + f"_{crc32(body):08x}".encode()).outcome == "passed"

    @pytest.mark.parametrize("prefix", [b"glpat-", b"gldt-", b"glrt-"])
    @given(st.binary(min_size=20, max_size=60))
    def test_gitlab_writes_length_and_checksum_in_base36(self, prefix: bytes, payload: bytes) -> None:
        body = base64url(payload)
        covered = prefix + body + b"." + f"{LOWER[len(body) // 36]}{LOWER[len(body) % 36]}".encode()
        number, written = crc32(covered), ""
        for _ in range(7):
            number, digit = divmod(number, 36)
            written = LOWER[digit] + written

        assert run("gitlab-routable", covered + written.encode()).outcome == "passed"

    def test_forms_without_a_checksum_are_left_alone(self) -> None:
        rng = random.Random(2)

        assert run("gitlab-routable", b"glpat-" + draw(rng, ALNUM, 20)).outcome == "neutral"
        assert run("github-crc32", b"ghs_" + draw(rng, ALNUM, 80)).outcome == "neutral"


class TestBase58Check:
    def test_the_public_key_of_the_first_vector_of_bip_32_passes(self) -> None:
        key = b"xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"

        assert run("base58check", key).outcome == "passed"

    def test_the_private_key_of_the_first_vector_of_bip_32_passes(self) -> None:
        master = hmac.digest(b"Bitcoin seed", bytes(range(16)), "sha512")
        key = base58check(bytes.fromhex("0488ade4") + bytes(9) + master[32:] + b"\0" + master[:32])

        assert (key[:8], key[-6:]) == (b"xprv9s21", b"xrMPHi")  # the ends of the published text
        assert run("base58check", key).outcome == "passed"


class TestBech32:
    @pytest.mark.parametrize(
        "valid",
        [
            "A12UEL5L",
            "a12uel5l",
            "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
            "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
            "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
            "?1ezyfcl",
        ],
    )
    def test_what_bip_173_calls_valid_passes(self, valid: str) -> None:
        assert run("bech32", valid.encode()).outcome == "passed"

    @pytest.mark.parametrize(
        "invalid",
        [
            pytest.param("pzry9x0s0muk", id="no separator"),
            pytest.param("1pzry9x0s0muk", id="empty human-readable part"),
            pytest.param("x1b4n0q5v", id="invalid character"),
            pytest.param("li1dgmt3", id="checksum too short"),
            pytest.param("A1G7SGD8", id="checksum of the upper-case form"),
            pytest.param("10a06t8", id="empty human-readable part, right checksum"),
            pytest.param("a12UEL5L", id="both cases"),
        ],
    )
    def test_what_bip_173_calls_invalid_fails(self, invalid: str) -> None:
        assert run("bech32", invalid.encode()).outcome == "failed"


class TestStellar:
    def test_the_reference_is_the_published_algorithm(self) -> None:
        assert crc16_xmodem(b"123456789") == 0x31C3

    @given(st.binary(min_size=32, max_size=32))
    def test_a_seed_ends_in_its_checksum(self, key: bytes) -> None:
        data = bytes((18 << 3,)) + key
        seed = base64.b32encode(data + crc16_xmodem(data).to_bytes(2, "little"))

        assert seed.startswith(b"S")
        assert run("stellar-strkey", seed).outcome == "passed"

    @given(st.binary(min_size=32, max_size=32))
    def test_a_public_key_is_no_seed(self, key: bytes) -> None:
        data = bytes((6 << 3,)) + key

        assert run("stellar-strkey", base64.b32encode(data + crc16_xmodem(data).to_bytes(2, "little"))).outcome == "failed"


class TestAws:
    def test_the_published_example_tells_its_account(self) -> None:
        key_id = b"ASIA" + b"QNZGKIQY56" + draw(random.Random(3), string.ascii_uppercase, 6)

        assert run("aws-account-id", key_id).facts == {"aws_account": "029608264753"}

    @given(st.integers(0, 10**12 - 1), st.integers(0, 127), st.binary(min_size=4, max_size=4))
    def test_every_account_comes_back(self, account: int, low: int, rest: bytes) -> None:
        body = base64.b32encode((1 << 47 | account << 7 | low).to_bytes(6) + rest)

        assert run("aws-account-id", b"AKIA" + body).facts == {"aws_account": f"{account:012d}"}

    def test_the_documentations_ids_are_placeholders(self) -> None:
        assert run("aws-account-id", b"AKIA" + b"IOSFODNN7" + b"EXAMPLE").outcome == "placeholder"


class TestJwt:
    def token(self, header: dict[str, object], payload: dict[str, object]) -> bytes:
        covered = document(**header) + b"." + document(**payload)
        return covered + b"." + base64url(hmac.digest(b"any key", covered, "sha256"))

    def test_a_token_as_rfc_7519_describes_it_passes_and_tells_who_issued_it(self) -> None:
        token = self.token(
            {"typ": "JWT", "alg": "HS256"}, {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
        )

        assert run("jwt", token) == CheckResult(
            "passed",
            "well-formed, and expired on 2011-03-22",
            {"jwt_iss": "joe", "jwt_exp": "1300819380", "jwt_expired": "2011-03-22"},
        )

    def test_supabases_anonymous_role_is_public(self) -> None:
        token = self.token({"alg": "HS256"}, {"iss": "supabase", "role": "anon", "exp": 4102444800})

        assert run("jwt", token).outcome == "neutral"
        assert run("jwt", self.token({"alg": "HS256"}, {"iss": "supabase", "role": "service_role"})).outcome == "passed"

    def test_the_token_of_the_documentation_is_a_placeholder(self) -> None:
        token = self.token({"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", "name": "John Doe", "iat": 1516239022})

        assert run("jwt", token).outcome == "placeholder"

    def test_an_encrypted_token_passes(self) -> None:
        rng = random.Random(4)
        parts = [document(alg="RSA-OAEP", enc="A256GCM"), *(draw(rng, ALNUM, 40) for _ in range(4))]

        assert run("jwt", b".".join(parts)).outcome == "passed"

    @pytest.mark.parametrize("header", [b"[]", b"1", b"{}", b'{"alg"', b"\xff"])
    def test_a_header_that_names_no_algorithm_fails(self, header: bytes) -> None:
        assert run("jwt", base64url(header) + b"." + document(sub="x") + b".c2ln").outcome == "failed"

    def test_deep_and_huge_documents_are_no_trouble(self) -> None:
        for payload in (b"[" * 100_000, b'{"exp":' + b"1" * 10_000 + b"}"):
            assert_well_formed(run("jwt", document(alg="HS256") + b"." + base64url(payload) + b".c2ln"))


class TestPrivateKey:
    FORMATS = serialization.PrivateFormat

    @pytest.mark.parametrize(
        ("key", "form", "kind"),
        [
            (lambda: rsa.generate_private_key(65537, 2048), FORMATS.PKCS8, "PKCS#8 key"),
            (lambda: rsa.generate_private_key(65537, 2048), FORMATS.TraditionalOpenSSL, "RSA key"),
            (lambda: ec.generate_private_key(ec.SECP256R1()), FORMATS.TraditionalOpenSSL, "EC key"),
            (ed25519.Ed25519PrivateKey.generate, FORMATS.PKCS8, "PKCS#8 key"),
        ],
        ids=["rsa-pkcs8", "rsa-pkcs1", "ec-sec1", "ed25519-pkcs8"],
    )
    @pytest.mark.parametrize("password", [None, b"a passphrase"], ids=["plain", "encrypted"])
    def test_a_generated_key_passes_in_every_dress(
        self, key: Callable[[], rsa.RSAPrivateKey], form: serialization.PrivateFormat, kind: str, password: bytes | None
    ) -> None:
        locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        block = key().private_bytes(serialization.Encoding.PEM, form, locked).strip()
        expected = "encrypted PEM key" if password and form is self.FORMATS.TraditionalOpenSSL else kind

        for dressed in (block, block.replace(b"\n", b"\\n"), block.replace(b"\n", b"\r\n"), block.replace(b"\n", b"\n    ")):
            result = run("private-key", dressed)
            assert result.outcome == "passed"
            algorithm = result.facts.get("algorithm", "")
            assert {**result.facts, "algorithm": algorithm} == {
                "key": expected,
                "encrypted": "yes" if password else "no",
                "algorithm": algorithm,
            }
            assert algorithm.split(" ")[0] in (("",) if password else ("RSA", "EllipticCurve", "EC", "ECDSA", "Ed25519"))

    @pytest.mark.parametrize(("cipher", "encrypted"), [(b"none", "no"), (b"aes256-ctr", "yes")])
    def test_openssh_names_its_cipher(self, cipher: bytes, encrypted: str) -> None:
        data = b"openssh-key-v1\0" + len(cipher).to_bytes(4) + cipher + random.Random(9).randbytes(200)

        assert run("private-key", armour(b"OPENSSH PRIVATE KEY", base64.encodebytes(data))).facts == {
            "key": "OpenSSH key",
            "encrypted": encrypted,
        }

    def test_an_openssh_key_of_another_program_passes(self) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        block = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).strip()

        assert run("private-key", block).facts == {"key": "OpenSSH key", "encrypted": "no", "algorithm": "Ed25519"}

    @pytest.mark.parametrize("elided", [b"...", b"xxxxxxxxxxxx", b"${KEY}", b"<your key here>"])
    def test_a_key_that_is_left_out_is_a_placeholder(self, elided: bytes) -> None:
        assert run("private-key", armour(b"RSA PRIVATE KEY", elided)).outcome == "placeholder"

    @pytest.mark.parametrize("label", ["", " ", "0", "KEY"])
    def test_whatever_the_label_nothing_is_raised(self, label: str) -> None:
        body = generated_pem().split(b"-----")[2]

        assert_well_formed(run("private-key", armour(label.encode(), body)))

    def test_a_key_cut_short_is_nobodys(self) -> None:
        body = generated_pem().split(b"\n")[1]

        assert run("private-key", armour(b"PRIVATE KEY", body[:40])).outcome == "placeholder"

    def test_putty_states_its_encryption(self) -> None:
        head = b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: "

        assert run("private-key", head + b"none\n").facts == {"encrypted": "no"}
        assert run("private-key", head + b"aes256-cbc\n").facts == {"encrypted": "yes"}

    def test_a_google_account_is_told_by_its_key_and_names_its_address(self) -> None:
        address = "robot@project.iam.gserviceaccount.com"
        account = json.dumps({"type": "service_account", "private_key": generated_pem().decode(), "client_email": address})
        result = run("google-service-account", account.encode())

        assert (result.outcome, result.facts["service_account"]) == ("passed", address)


class TestStructures:
    def test_discord_tells_the_bots_number(self) -> None:
        token = base64url(b"123456789012345678") + b"." + draw(random.Random(5), ALNUM, 34)

        assert run("discord-bot-token", token).facts == {"discord_user": "123456789012345678"}

    def test_telegram_tells_the_bots_number(self) -> None:
        assert run("telegram-bot-token", b"123456789:AA" + draw(random.Random(6), ALNUM, 33)).facts == {
            "telegram_bot": "123456789"
        }

    def test_sentry_tells_organisation_and_address(self) -> None:
        token = b"sntrys_" + document(iat=1.5, url="https://sentry.io", region_url="https://us.sentry.io", org="acme") + b"_x"

        assert run("sentry-org-token", token).facts == {"sentry_organisation": "acme", "sentry_url": "https://sentry.io"}

    def test_grafana_cloud_tells_the_organisation(self) -> None:
        assert run("grafana-cloud-json", b"glc_" + document(o="4711", n="ci", k="x", m={})).facts == {
            "grafana_organisation": "4711"
        }

    def test_mapbox_tells_the_user(self) -> None:
        assert run("mapbox-token", b"sk." + document(u="someone", a="x") + b".y").facts == {"mapbox_user": "someone"}

    @pytest.mark.parametrize(
        ("prefix", "location"), [(b"pypi-", INDEX), (b"pypi-", b"test." + INDEX), (b"fm2_", b"api.fly.io")]
    )
    def test_a_macaroon_tells_its_issuer(self, prefix: bytes, location: bytes) -> None:
        body = b"\x02\x01" + bytes((len(location),)) + location + b"\x02" + random.Random(7).randbytes(60)

        assert run("macaroon", prefix + base64url(body)).facts == {"issuer": location.decode()}

    @pytest.mark.parametrize("length", [0, 1, 2, 3, 4])
    def test_a_macaroon_that_is_cut_off_is_neutral(self, length: int) -> None:
        assert run("macaroon", b"fm2_" + base64url(bytes((2, 1, 8, 112))[:length])).outcome == "neutral"

    def test_pypi_tokens_begin_as_their_macaroon_says(self) -> None:
        assert base64url(b"\x02\x01\x08" + INDEX).startswith(b"AgEIcHlwaS5vcmc")

    @pytest.mark.parametrize(("number", "outcome"), [(0, "failed"), (1, "neutral"), (ORDER - 1, "neutral"), (ORDER, "failed")])
    def test_a_key_of_the_curve_lies_between_zero_and_its_order(self, number: int, outcome: str) -> None:
        assert run("secp256k1", b"0x%064x" % number).outcome == outcome

    @pytest.mark.parametrize(("size", "length"), [(32, 44), (64, 88)])
    def test_azure_keys_have_usual_lengths(self, size: int, length: int) -> None:
        key = base64.b64encode(random.Random(8).randbytes(size))

        assert len(key) == length
        assert run("azure-identifiable", key) != run("azure-identifiable", key[: length // 2])

    @pytest.mark.parametrize("password", ["", "password", "${PASSWORD}", "xxxxxxxxxx"])
    def test_basic_credentials_without_a_password_prove_nothing(self, password: str) -> None:
        assert run("basic-auth", base64.b64encode(f"user:{password}".encode())).outcome == "neutral"

    def test_basic_credentials_may_hold_any_language(self) -> None:
        """RFC 7617 allows UTF-8, and the passwords of people are in it."""
        credentials = "jürgen:schlüssel-".encode() + draw(random.Random(10), ALNUM, 8)

        assert run("basic-auth", base64.b64encode(credentials)).outcome == "passed"


class TestBip39:
    def test_a_phrase_with_a_wrong_checksum_fails(self) -> None:
        words = right("bip39", 1).split()
        outcomes = {run("bip39", b" ".join([*words[:-1], last])).outcome for last in words}

        assert outcomes == {"passed", "failed"}  # four bits: one of sixteen words ends it rightly

    def test_a_phrase_is_found_among_other_words(self) -> None:
        assert run("bip39", b"xyzzy " + right("bip39", 2) + b" xyzzy").outcome == "passed"

    def test_the_phrases_of_documentation_are_nobodys(self) -> None:
        assert run("bip39", b"abandon " * 11 + b"about").outcome == "placeholder"
