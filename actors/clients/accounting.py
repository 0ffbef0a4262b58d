"""Tokens, pictures and money: reserved before a call at most, settled after it at what it was."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from actors.clients.errors import SpendCapReached
from actors.purse import Amount
from configs.http import HttpSettings

_NANO = 1_000_000_000


@dataclass(frozen=True)
class Usage:
    """What a call consumes."""

    input_tokens: int = 0
    output_tokens: int = 0
    pictures: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.pictures + other.pictures,
        )


class Bill:
    """One call's reservation. Not settled = nothing was consumed."""

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def settle(self, usage: Usage) -> None:
        """Say what the call consumed in truth."""
        self.usage = usage


class Account:
    """The books of one service. Sums are whole billionths, so that rounding cannot pass the cap."""

    def __init__(self, http: HttpSettings) -> None:
        self._http = http
        self._cap = None if http.spend_cap is None else math.floor(http.spend_cap * _NANO)
        self._lock = threading.Lock()
        self._spent = 0
        self._reserved = 0
        self.usage = Usage()
        self.calls = 0
        self.cache_hits = 0

    @property
    def spent(self) -> float:
        """Money consumed by settled calls."""
        return self._spent / _NANO

    @property
    def reserved(self) -> float:
        """Money that calls in flight may still consume."""
        return self._reserved / _NANO

    @contextmanager
    def reserve(self, most: Usage) -> Iterator[Bill]:
        """Hold what a call may consume at most; on leaving, give back what it did not.

        A call that leaves without settling (failed, cancelled) gives all of it back.

        Raises:
            SpendCapReached: spent, reserved and this call together would pass the cap.
        """
        price = self._price(most)
        with self._lock:
            if self._cap is not None and self._spent + self._reserved + price > self._cap:
                raise SpendCapReached(
                    f"the call may cost {price / _NANO:.6g}; spent {self.spent:.6g}, reserved by calls in "
                    f"flight {self.reserved:.6g}, spend_cap {self._cap / _NANO:.6g}; raise spend_cap to go on"
                )
            self._reserved += price
        bill = Bill()
        try:
            yield bill
        finally:
            with self._lock:
                self._reserved -= price
                if bill.usage is not None:
                    self._spent += self._price(bill.usage)
                    self.usage += bill.usage
                    self.calls += 1

    def amount(self, usage: Usage) -> Amount:
        """What a usage takes out of a purse."""
        return Amount(usage.input_tokens + usage.output_tokens, self._price(usage))

    def _price(self, usage: Usage) -> int:
        money = (
            usage.input_tokens * self._http.price_per_1k_input_tokens / 1000
            + usage.output_tokens * self._http.price_per_1k_output_tokens / 1000
            + usage.pictures * self._http.price_per_picture
        )
        return math.ceil(money * _NANO)
