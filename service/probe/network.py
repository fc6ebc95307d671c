"""The way out: only to public addresses, looked at when the connection is made.

A name is resolved and its addresses are judged in the same step whose result the connection then uses, so that a name that
changes its mind between two look-ups gains nothing. What the operator allows by name may be private.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Collection
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from service.errors import SettingsError
from service.settings import Probe

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NEVER: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.88.99.0/24",  # the way to 6to4, given up (RFC 7526)
        "2002::/16",  # 6to4: an IPv4 address inside
        "2001::/32",  # Teredo: likewise
        "::/96",  # IPv4-compatible: likewise
        "64:ff9b:1::/48",  # NAT64 of one's own network (RFC 8215)
        "fec0::/10",  # site-local
        "3fff::/20",  # documentation (RFC 9637), which not every Python knows
    )
)
_ISATAP: Final = (b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe")
"""In the last half of an address: what follows is an IPv4 address (RFC 5214)."""


class AddressRefusedError(OSError):
    """A host leads to an address that is not public. The text names neither."""

    def __init__(self) -> None:
        super().__init__("address refused")


def is_public(address: str) -> bool:
    """True for an address of the public internet.

    Not public: private, loopback, link-local, shared (100.64.0.0/10), multicast, reserved and documentation ranges, and
    whatever carries an IPv4 address inside (mapped, compatible, 6to4, Teredo, ISATAP). The network prefix of NAT64 is as public
    as the address in it, since networks without IPv4 reach everything through it.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(ip.packed[12:])))
        if ip.ipv4_mapped or ip.packed[8:12] in _ISATAP:
            return False
    if any(ip in network for network in _NEVER if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def is_literal(host: str) -> bool:
    """True if a host is an address in any of the ways in which resolvers read one: ``2130706433``, ``0x7f.1``, ``::1``."""
    if ":" in host or host.replace(".", "").isdecimal():
        return True
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those of which any address is not public."""

    def __init__(self, allowed: Collection[str], resolver: AbstractResolver | None = None) -> None:
        self._allowed = frozenset(allowed)
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """The addresses of a host.

        Raises:
            AddressRefusedError: one of them is not public, and the host is not allowed by name.
        """
        found = await self._resolver.resolve(host, port, family)
        if host not in self._allowed and not all(is_public(one["host"]) for one in found):
            raise AddressRefusedError
        return found

    async def close(self) -> None:
        """Lets go of the resolver."""
        await self._resolver.close()


def trusted(ca_file: str | None) -> ssl.SSLContext:
    """TLS that trusts the certificates of a file, or those of the system.

    Raises:
        SettingsError: the file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"probe.ca_file: {ca_file}: certificates in PEM expected: {error.strerror or error}") from error


class Network:
    """A session of the client: no redirects, no cookies, nothing of the environment, bounded, over verified TLS.

    Raises:
        SettingsError: as :func:`trusted`.
    """

    def __init__(self, settings: Probe, resolver: AbstractResolver | None = None) -> None:
        self._proxy = settings.proxy or None
        self._allowed = frozenset(map(str.lower, settings.allow_private))
        proxy_host = {URL(settings.proxy).host or ""} if settings.proxy else set()
        tls = trusted(settings.ca_file)
        self._credentials = {}
        if settings.proxy_credentials:
            user, _, password = settings.proxy_credentials.partition(":")
            self._credentials["Proxy-Authorization"] = aiohttp.encode_basic_auth(user, password)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=PublicResolver(self._allowed | proxy_host, resolver),
                ssl=tls,
                limit=settings.concurrency,
                use_dns_cache=False,
                keepalive_timeout=15,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_ms / 1000),
            auto_decompress=False,
            trust_env=False,
        )

    def request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> aiohttp.client._RequestContextManager:
        """Begins a request. The URL is sent as it is written.

        Raises:
            AddressRefusedError: the host is an address, and not allowed by name.
        """
        target = URL(url, encoded=True)
        host = target.host or ""
        if host not in self._allowed and (target.scheme != "https" or is_literal(host)):
            raise AddressRefusedError
        return self._session.request(
            method,
            target,
            headers={**headers, "Accept-Encoding": "gzip"},
            data=body or None,
            allow_redirects=False,
            proxy=self._proxy,
            proxy_headers=self._credentials or None,
        )

    async def close(self) -> None:
        """Ends the session."""
        await self._session.close()
