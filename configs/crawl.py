"""How the crawler behaves towards the sites it visits."""

from __future__ import annotations

from pydantic import Field, SecretStr

from configs.base import RoomSettings


class CrawlSettings(RoomSettings):
    """Manners and limits, the same for all sites. What one site looks like is in its spec."""

    user_agent: str = Field(default="AtelierCrawler/0.1", pattern=r"^[A-Za-z_-]+(/[A-Za-z0-9._-]+)?$")
    """Product and version; the product is the name that robots.txt rules are looked up by."""
    contact: str = Field(default="", pattern=r"^[\x20-\x7e]{0,200}$")
    """Mail address or page where a site's owner reaches you; part of the user agent, and required."""
    requests_per_s: float = Field(default=2.0, gt=0)
    """Most requests a second to one host; robots.txt can only lower it."""
    per_host: int = Field(default=4, ge=1)
    """Most requests at once to one host."""
    in_flight: int = Field(default=32, ge=1)
    """Pictures worked on at once, over all hosts."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    """Longest wait for a name and a connection."""
    timeout_s: float = Field(default=20.0, gt=0)
    """Longest silence within one answer."""
    deadline_s: float = Field(default=120.0, gt=0)
    """Longest time for one whole answer."""
    retries: int = Field(default=3, ge=0, le=20)
    """Further attempts after timeouts, lost connections, 408, 429, 502, 503 and 504."""
    backoff_s: float = Field(default=1.0, gt=0)
    """Longest wait before the first retry; it doubles with each, up to `max_backoff_s`."""
    max_backoff_s: float = Field(default=30.0, gt=0)
    max_wait_s: float = Field(default=300.0, gt=0)
    """A host that asks for a longer wait (Retry-After, crawl-delay) is left alone for this run."""
    host_failures: int = Field(default=10, ge=1)
    """A host that gave nothing for so many URLs in a row is left alone for this run."""
    redirects: int = Field(default=5, ge=0, le=20)
    max_page_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    max_picture_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=32 * 1024 * 1024)
    proxies: tuple[SecretStr, ...] = ()
    """`http://[user:password@]host:port`; a host keeps its proxy, a retry takes the next. A proxy resolves
    the names itself, so it has to refuse private addresses itself."""
    duplicate_bits: int = Field(default=4, ge=0, le=32)
    """Two pictures whose perceptual hashes differ in at most so many of 64 bits are one picture."""
    shard_rows: int = Field(default=1000, ge=1)
