"""Where the crawler does not go, and that it goes to the very address that was checked."""

import asyncio
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crawl.site import PUBLIC, QUICK, Network, Reply, Site, resolver
from train_jobs.crawl.answers import want_html
from train_jobs.crawl.errors import Refused
from train_jobs.crawl.fetcher import Fetcher
from train_jobs.crawl.guard import Guard, is_public

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:1::",
    "2001:db8::1",
    "3fff::1",
    "100::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(Refused, match="public internet"):
        Guard(["x"]).check_address("x", address)


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "2606:4700::1111"])
def test_public_addresses_pass(address: str) -> None:
    Guard(["x"]).check_address("x", address)


@given(st.ip_addresses(v=4).map(int))
def test_no_form_of_an_address_is_more_public_than_the_address(number: int) -> None:
    for form in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80, number):
        assert not is_public(ip_address(form.to_bytes(16, "big")))


def test_a_gallery_of_your_own_is_near_but_not_the_cloud() -> None:
    guard = Guard(["x"], allow_private=True)
    for address in ("127.0.0.1", "10.0.0.1", "::1", "fd00::1"):
        guard.check_address("x", address)
    for address in ("169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "168.63.129.16"):
        with pytest.raises(Refused):
            guard.check_address("x", address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://gallery.example/x", "accepted: http"),
        ("file:///etc/passwd", "accepted: http"),
        ("javascript:alert(1)", "accepted: http"),
        ("/relative", "accepted: http"),
        ("http://", "accepted: http"),
        ("http://u:p@gallery.example/", "user or password"),
        ("http://gallery.example:8080/", "port 8080"),
        ("http://gallery.example:99999999/", "port 99999999"),
        ("http://gallery.example:x/", "is no URL"),
        ("http://evil.example/", "not among the spec's hosts"),
        ("http://gallery.example.evil.example/", "not among the spec's hosts"),
        ("http://notgallery.example/", "not among the spec's hosts"),
        ("http://127.0.0.1/", "not among the spec's hosts"),
        ("http://a\x00b/", "is no URL"),
    ],
)
def test_urls_that_are_refused(url: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        Guard(["gallery.example"]).check_url(url)


def test_hosts_and_their_subdomains() -> None:
    guard = Guard(["Gallery.example", "*.cdn.example"])
    for host in ("gallery.example", "GALLERY.example.", "a.cdn.example", "a.b.cdn.example"):
        guard.check_url(f"https://{host}/x")
    with pytest.raises(Refused):
        guard.check_url("https://cdn.example/x")


def test_a_name_that_changes_its_mind_is_caught() -> None:
    """DNS rebinding: the first answer is public, all later ones are not."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    site = Site()
    site.routes["/x"] = Reply(b"<p>", "text/html", headers={"Connection": "close"})
    site.routes["/robots.txt"] = Reply(b"", "text/plain")
    network = Network(site)

    async def go() -> None:
        async with Fetcher(QUICK, Guard(["r.example"], resolve=rebinding), network=network) as fetcher:
            await fetcher.get("http://r.example/x", want_html(1000))
            # The server closes; the next request needs a new connection, and the name a new look.
            with pytest.raises(Refused, match=r"r\.example is at 127\.0\.0\.1"):
                await fetcher.get("http://r.example/x", want_html(1000))

    with site.served():
        asyncio.run(go())
    assert network.dialled == [PUBLIC], "only the checked address was ever dialled"
    assert len(asked) == 2


def test_one_private_address_among_public_ones_is_enough() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return [PUBLIC, "10.0.0.1"]

    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        asyncio.run(Guard(["x"], resolve=mixed).addresses("x", 80))


@pytest.mark.parametrize("target", ["http://127.0.0.1/", "http://169.254.169.254/latest/", "http://inner/"])
def test_redirects_to_private_addresses_are_refused(target: str) -> None:
    """Even where the spec names the host, the address decides."""
    site = Site()
    site.routes["/x"] = Reply(status=302, headers={"Location": target})
    hosts = ["gallery.example", "127.0.0.1", "169.254.169.254", "inner"]
    network = Network(site)

    async def go() -> None:
        guard = Guard(hosts, resolve=resolver(inner="192.168.0.7"))
        async with Fetcher(QUICK, guard, network=network) as fetcher:
            await fetcher.get("http://gallery.example/x", want_html(1000))

    with site.served(), pytest.raises(Refused, match="not an address of the public internet"):
        asyncio.run(go())
    assert set(network.dialled) == {PUBLIC}
