"""Code that reads a secret, run against real servers: AWS Secrets Manager by moto, Vault's KV v2 by OpenBao.

There is no Conjur to be had from a package registry: its examples run against a server of this file that speaks its published
REST API, and are proved no further.
"""

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from service.web import snippets
from service.web.snippets import Names
from tests.web.proof import installed

NAMES = Names("WEPAY_ACCESS_TOKEN", "prod/wepay", "access_token", "accessToken", "AccessToken")
ABSENT = Names("WEPAY_OTHER_TOKEN", "prod/nothing", "access_token", "accessToken", "AccessToken")
LOGIN = "host/shop/web"
STORES = ("environment", "aws", "vault", "conjur")
LANGUAGES = ("python", "javascript", "go", "shell")
GO = """package main

import (
	"context"
	"fmt"
	"os"

	"proof/%s/secrets"
)

func main() {
	ctx := context.Background()
	_ = ctx
	value, err := secrets.%s(%s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(value)
}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def post(address: str, document: object, headers: dict[str, str]) -> None:
    request = urllib.request.Request(address, json.dumps(document).encode(), headers)
    urllib.request.urlopen(request, timeout=10).close()


def ready(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


class Conjur(BaseHTTPRequestHandler):
    """Two calls of Conjur's REST API: logging in with an API key, and reading a variable."""

    key = ""
    value = ""
    session = ""

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers["Content-Length"])).decode()
        path = [unquote(part) for part in self.path.split("/")]
        if path != ["", "authn", "acme", LOGIN, "authenticate"] or given != self.key:
            self.answer(401, "")
        elif "base64" in self.headers.get("Accept-Encoding", ""):
            self.answer(200, base64.b64encode(self.session.encode()).decode(), base64)
        else:
            self.answer(200, self.session)

    def do_GET(self) -> None:
        expected = f'Token token="{base64.b64encode(self.session.encode()).decode()}"'
        path = [unquote(part) for part in self.path.split("/")]
        if self.headers.get("Authorization") != expected:
            self.answer(401, "")
        elif path == ["", "secrets", "acme", "variable", "prod/wepay/access_token"]:
            self.answer(200, self.value)
        else:
            self.answer(404, "")

    def answer(self, status: int, text: str, encoding: object = None) -> None:
        self.send_response(status)
        if encoding:
            self.send_header("Content-Encoding", "base64")
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        """Says nothing."""


class Servers:
    """What the examples read from, the value that they have to find, and the environment that leads there."""

    def __init__(self, folder: Path, environment: dict[str, str], value: str) -> None:
        self.folder = folder
        self.environment = environment
        self.value = value


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = installed()
    value, key, root = (secrets.token_hex(12) for _ in range(3))
    work = tmp_path_factory.mktemp("proof")
    links = work / "bin"
    links.mkdir()
    (links / "vault").symlink_to(folder / "python" / "bin" / "bao")
    aws, vault = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    environment = {
        "PATH": f"{links}:{folder / 'python' / 'bin'}:{os.environ['PATH']}",
        "HOME": str(work),
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "VAULT_ADDR": vault,
        "VAULT_TOKEN": root,
        "CONJUR_ACCOUNT": "acme",
        "CONJUR_AUTHN_LOGIN": LOGIN,
        "CONJUR_AUTHN_API_KEY": key,
        "WEPAY_ACCESS_TOKEN": value,
    }
    binaries = folder / "python" / "bin"
    commands = [
        [binaries / "moto_server", "-H", "127.0.0.1", "-p", aws.rsplit(":", 1)[1]],
        [binaries / "bao", "server", "-dev", "-dev-no-store-token", f"-dev-listen-address={vault.removeprefix('http://')}"],
    ]
    Conjur.key, Conjur.value = key, value
    parts = {"protected": {"alg": "conjur.org/slosilo/v2"}, "payload": {"sub": LOGIN, "iat": int(time.time())}}
    token = {name: base64.b64encode(json.dumps(part).encode()).decode() for name, part in parts.items()}
    Conjur.session = json.dumps({**token, "signature": secrets.token_hex(16)})
    conjur = ThreadingHTTPServer(("127.0.0.1", 0), Conjur)
    threading.Thread(target=conjur.serve_forever, daemon=True).start()
    environment["CONJUR_APPLIANCE_URL"] = f"http://127.0.0.1:{conjur.server_address[1]}"
    started = [
        subprocess.Popen(
            [str(part) for part in command],
            env={**environment, "BAO_DEV_ROOT_TOKEN_ID": root},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for command in commands
    ]
    try:
        for address, process in zip((aws, f"{vault}/v1/sys/health"), started, strict=True):
            ready(address, process)
        made = [
            "secretsmanager",
            "create-secret",
            "--name",
            "prod/wepay",
            "--secret-string",
            json.dumps({"access_token": value}),
        ]
        subprocess.run([str(binaries / "aws"), *made], env=environment, check=True, capture_output=True, timeout=120)
        post(f"{vault}/v1/secret/data/prod/wepay", {"data": {"access_token": value}}, {"X-Vault-Token": root})
        yield Servers(folder, environment, value)
    finally:
        for process in started:
            os.killpg(process.pid, 15)
            process.wait(20)
        conjur.shutdown()
        conjur.server_close()


def run(servers: Servers, language: str, store: str, names: Names, **changes: str) -> subprocess.CompletedProcess[str]:
    """Runs the example in a program that prints what it gave."""
    code = snippets.render(language, store, names).code
    place = servers.folder / f"run-{secrets.token_hex(6)}"  # below node_modules' folder, where node looks for clients
    place.mkdir()
    try:
        name = f"snippet.{snippets.languages()[language].suffix}"
        if language == "go":
            (place / "secrets").mkdir()
            (place / "main.go").write_text(GO % (place.name, names.pascal, "ctx" if store in ("aws", "vault") else ""))
            name = f"secrets/{name}"
        (place / name).write_text(code)
        command = {
            "python": ["python", "-c", f"import snippet; print(snippet.{names.field}(), end='')"],
            "javascript": [
                "node",
                "--input-type=module",
                "-e",
                f"import {{ {names.camel} }} from './snippet.mjs'; process.stdout.write(await {names.camel}());",
            ],
            "go": ["go", "run", "."],
            "shell": ["bash", "-c", f'. ./snippet.sh; printf %s "${names.variable}"'],
        }[language]
        environment = {**servers.environment, **changes}
        if language == "go":
            environment |= {
                name: os.environ[name] for name in ("GOPROXY", "GOFLAGS", "GONOSUMDB", "GOSUMDB") if name in os.environ
            }
            environment["HOME"] = os.environ["HOME"]
        program = shutil.which(command[0], path=environment["PATH"])
        if program is None and os.environ.get("CI") != "true":
            pytest.skip(f"{command[0]} is missing")
        assert program, f"{command[0]} is missing"
        return subprocess.run(
            [program, *command[1:]], cwd=place, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_reads_the_secret_from_its_store(servers: Servers, language: str, store: str) -> None:
    done = run(servers, language, store, NAMES)

    assert done.returncode == 0, done.stderr
    assert done.stdout == servers.value


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_fails_with_a_clear_error_where_there_is_none(servers: Servers, language: str, store: str) -> None:
    done = run(servers, language, store, ABSENT)

    assert done.returncode != 0
    assert ("WEPAY_OTHER_TOKEN" if store == "environment" else "prod/nothing") in done.stderr
    assert servers.value not in done.stdout + done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("store", "variable"), [("vault", "VAULT_TOKEN"), ("conjur", "CONJUR_AUTHN_API_KEY")])
def test_each_fails_where_it_is_not_let_in_and_tells_no_credential(
    servers: Servers, language: str, store: str, variable: str
) -> None:
    wrong = secrets.token_hex(12)
    done = run(servers, language, store, NAMES, **{variable: wrong})

    assert done.returncode != 0
    assert servers.value not in done.stdout + done.stderr
    assert wrong not in done.stdout + done.stderr
