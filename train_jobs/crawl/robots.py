"""robots.txt (RFC 9309): read once a site and run, obeyed for every URL, redirects included."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import httpx
from protego import Protego

from train_jobs.crawl.errors import HostStopped, Missing, Refused, Unavailable

Read = Callable[[str], Awaitable[str]]
"""URL -> text; raises `Missing` where there is none."""


class Robots:
    """The rules of all sites of a run for one robot."""

    def __init__(self, robot: str, read: Read, slow_down: Callable[[httpx.URL, float], None]) -> None:
        self._robot = robot
        self._read = read
        self._slow_down = slow_down
        self._rules: dict[str, Protego | HostStopped | Refused] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def check(self, url: httpx.URL) -> None:
        """Let a URL pass, or raise.

        Raises:
            Refused: the site's robots.txt forbids it, or may itself not be asked for, e.g. by the guard.
            HostStopped: the site's robots.txt cannot be had, or asks for more patience than the settings.
        """
        site = f"{url.scheme}://{url.netloc.decode('ascii')}"
        async with self._locks[site]:
            if site not in self._rules:
                self._rules[site] = await self._load(site, url)
        rules = self._rules[site]
        if not isinstance(rules, Protego):
            raise type(rules)(str(rules))
        if not rules.can_fetch(str(url), self._robot):
            raise Refused(f"{site}/robots.txt does not allow {url.path[:200]} for {self._robot}")

    async def _load(self, site: str, url: httpx.URL) -> Protego | HostStopped | Refused:
        try:
            rules = Protego.parse(await self._read(f"{site}/robots.txt"))
            self._slow_down(url, _spacing(rules, self._robot))
            return rules
        except Missing:
            return Protego.parse("")
        except (HostStopped, Refused) as error:
            return error
        except Unavailable as error:
            return HostStopped(f"{site}/robots.txt cannot be had, so the site is left alone: {error}")


def _spacing(rules: Protego, robot: str) -> float:
    """Seconds between requests that a site asks for."""
    rate = rules.request_rate(robot)
    by_rate = rate.seconds / rate.requests if rate and rate.requests else 0.0
    return max(rules.crawl_delay(robot) or 0.0, by_rate)
