"""Why a URL gives no picture."""

from __future__ import annotations

from actors.errors import AtelierError


class Refused(AtelierError):
    """A rule says no, for good. Example: robots.txt, a private address, a web page in place of a picture."""


class Missing(AtelierError):
    """The site does not have it. Example: 404."""


class Unavailable(AtelierError):
    """The site does not deliver now; a later run tries again. Example: 503 after all retries."""

    retryable = True


class HostStopped(Unavailable):
    """A host is left alone for the rest of this run. Example: its robots.txt answers 500."""


Trouble = (Refused, Missing, Unavailable)
"""What ends one URL and no more than that."""
