"""The way out: nothing that is not public, however it is written or resolved."""

import asyncio
import socket

import aiohttp
import pytest
from aiohttp.abc import ResolveResult

from service.probe import network
from service.probe.network import AddressRefusedError, Network, PublicResolver
from service.settings import Probe
from tests.probe.conftest import Names


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:53aa:64c::1",
        "fd00:ec2::254",
        "192.88.99.1",
        "64:ff9b:1::7f00:1",
        "3fff::1",
        "2606:4700::5efe:7f00:1",
        "2606:4700::200:5efe:a00:1",
        "localhost",
        "",
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not network.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "140.82.121.6", "2606:4700::1111", "64:ff9b::808:808"])
def test_what_is_public_is_not(address: str) -> None:
    assert network.is_public(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "8.8.8.8", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "1.2.3", "::1", "::ffff:1.2.3.4"],
)
def test_an_address_is_known_however_it_is_written(host: str) -> None:
    assert network.is_literal(host)


@pytest.mark.parametrize("host", ["api.stripe.com", "cafe", "1password.com", "0x.org"])
def test_a_name_is_no_address(host: str) -> None:
    assert not network.is_literal(host)


async def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    names = Names(443)
    names.addresses["api.acme.com"] = ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(AddressRefusedError):
        await PublicResolver((), names).resolve("api.acme.com", 443)


async def test_a_name_that_is_allowed_may_be_private() -> None:
    names = Names(443)
    names.addresses["vault.acme.example"] = ["10.0.0.1"]

    (found,) = await PublicResolver(("vault.acme.example",), names).resolve("vault.acme.example", 443)

    assert found["host"] == "10.0.0.1"


async def test_the_refusal_names_nothing() -> None:
    assert str(AddressRefusedError()) == "address refused"


class Rebinding(Names):
    """Says a public address at first and a private one ever after."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        self.addresses[host] = ["127.0.0.1"] if self.asked else ["8.8.8.8"]
        return await super().resolve(host, port, family)


async def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """What is judged is what is connected to: every connection resolves anew, and is refused when the answer turned."""
    reached = asyncio.Event()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    names = Rebinding(server.sockets[0].getsockname()[1])
    names.asked.append("a first look, elsewhere")
    way = Network(Probe(timeout_ms=2000), names)

    with pytest.raises(aiohttp.ClientConnectorDNSError) as error:
        async with way.request("GET", "https://api.acme.com/", {}, b""):
            pass

    assert isinstance(error.value.os_error, AddressRefusedError)
    assert not reached.is_set()
    await way.close()
    server.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://8.8.8.8/",
        "http://api.acme.com/",
    ],
)
async def test_no_address_and_nothing_without_tls_is_asked(url: str) -> None:
    way = Network(Probe(), Names(1))
    try:
        with pytest.raises((AddressRefusedError, ValueError)):
            way.request("GET", url, {}, b"")
    finally:
        await way.close()
