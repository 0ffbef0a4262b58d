"""Where the crawler may go: which URLs, and which addresses behind their names.

A name is resolved when a connection is made, every address it has is checked, and the connection goes to an
address that was checked: a name that answers otherwise a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore
import httpx

from train_jobs.crawl.errors import Refused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> addresses."""

_WEB_PORTS = {None, 80, 443}
_UNICAST = ip_network("2000::/3")
"""All of IPv6 that is routed in public; mapped, translated and private forms lie outside."""
_NOT_PUBLIC = [
    ip_network(net)
    for net in (
        "100.64.0.0/10",
        "168.63.129.16/32",  # a cloud's own services, at a public address
        "192.0.0.0/24",
        "192.88.99.0/24",
        "2001::/23",  # Teredo and other protocols that carry an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
]
_OWN = [
    ip_network(net)
    for net in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")
]


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Addresses by the system's resolver.

    Raises:
        socket.gaierror: the name has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public internet's, and no other form of a private one."""
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return not any(address in net for net in _NOT_PUBLIC)


class Guard:
    """The rules of one crawl."""

    def __init__(
        self, hosts: Iterable[str], *, allow_private: bool = False, resolve: Resolve = system_resolve
    ) -> None:
        self._hosts = {_plain(host) for host in hosts}
        self._allow_private = allow_private
        self._resolve = resolve

    def check_url(self, text: str) -> httpx.URL:
        """A URL that may be asked for.

        Raises:
            Refused: it is no web address, has credentials or an odd port, or its host is not in the spec.
        """
        try:
            url = httpx.URL(text)
            port = url.port
        except httpx.InvalidURL as error:
            raise Refused(f"{text[:200]!r} is no URL: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise Refused(f"{text[:200]!r}; accepted: http://... and https://...")
        if url.userinfo:
            raise Refused(f"the URL for {url.host} holds a user or password; accepted: URLs without")
        if port not in _WEB_PORTS and not self._allow_private:
            raise Refused(f"{text[:200]!r} asks for port {port}; accepted: 80 and 443")
        if not self._knows(_plain(url.host)):
            raise Refused(f"host {url.host} is not among the spec's hosts; add it to `hosts` if it is right")
        return url

    def check_address(self, host: str, text: str) -> None:
        """Refuse an address that a connection must not be made to.

        Raises:
            Refused: it is not public, and not one of your own where the spec allows those.
        """
        address = ip_address(text)
        own = any(address in net for net in _OWN)
        if not (is_public(address) or (own and self._allow_private)):
            raise Refused(
                f"{host} is at {text}, which is not an address of the public internet; a gallery of your own "
                "needs allow_private in its spec"
            )

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name, all of them checked.

        Raises:
            Refused: one of them is not allowed.
            OSError: the name has none.
        """
        found = list(await self._resolve(host, port))
        for address in found:
            self.check_address(host, address)
        if not found:
            raise OSError(f"{host} has no address")
        return found

    def _knows(self, host: str) -> bool:
        parts = host.split(".")
        parents = (".".join(parts[n:]) for n in range(1, len(parts)))
        return host in self._hosts or any(f"*.{parent}" in self._hosts for parent in parents)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the very addresses that the guard has checked; TLS still goes by the name."""

    def __init__(self, guard: Guard, inner: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._guard = guard
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, connect to the first address that answers.

        Raises:
            Refused: an address is not allowed.
            httpcore.ConnectError, httpcore.ConnectTimeout: nothing answers.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._guard.addresses(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no address for {host} within {timeout} s") from None
        except OSError as error:
            raise httpcore.ConnectError(f"no address for {host}: {error}") from None
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no site is a local socket.

        Raises:
            Refused: always.
        """
        raise Refused(f"{path!r} is a local socket; accepted: http://... and https://...")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)


@functools.cache
def tls() -> ssl.SSLContext:
    """The usual checks of certificates; reading the authorities takes long, so it is done once."""
    return httpx.create_ssl_context(trust_env=False)


class PinnedTransport(httpx.AsyncHTTPTransport):
    """httpx over a `PinnedBackend`."""

    def __init__(self, backend: PinnedBackend, most: int) -> None:
        super().__init__(verify=tls(), trust_env=False)
        # httpx has no argument for the network backend, and its pool is what connects.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls(),
            max_connections=most,
            keepalive_expiry=15.0,
            network_backend=backend,
        )


def _plain(host: str) -> str:
    return host.rstrip(".").lower()
