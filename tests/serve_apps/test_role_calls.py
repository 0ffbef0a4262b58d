import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import BackPressureError

from actors.contracts import Failure
from actors.errors import TimedOut
from configs.load import load
from serve_apps.edge.problems import Overloaded, problem_of
from serve_apps.handles import RoleCall, RoleLost, anchored


class Handle:
    """Stands in for a DeploymentHandle: `handle.call.remote(...)`."""

    def __init__(self, answer: Callable[[], Awaitable[Any]]) -> None:
        self._answer = answer
        self.calls: list[Any] = []

    @property
    def call(self) -> "Handle":
        return self

    def remote(self, *args: Any) -> Awaitable[Any]:
        self.calls.append(args)
        return self._answer()


async def hang() -> None:
    await asyncio.sleep(60)


def raising(error: Exception) -> Callable[[], Awaitable[Any]]:
    async def answer() -> None:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "error", "status"),
    [
        (hang, TimedOut, 504),
        (raising(BackPressureError(num_queued_requests=1, max_queued_requests=1)), Overloaded, 503),
        (raising(ActorDiedError()), RoleLost, 503),
    ],
)
def test_what_goes_wrong_names_the_deployment(
    answer: Callable[[], Awaitable[Any]], error: type[Exception], status: int
) -> None:
    call = RoleCall("judge", Handle(answer), timeout_s=0.02)  # type: ignore[arg-type]
    with pytest.raises(error, match=r"judge\.judge \(deployment role-judge\)") as caught:
        asyncio.run(call("judge", [1], [2]))
    assert caught.value.retryable  # type: ignore[attr-defined]
    problem = problem_of(caught.value)
    assert problem.status == status and problem.retry_after_s


def test_a_failed_call_fails_each_item() -> None:
    failure = Failure(stage="judge", kind="ValueError", message="no")

    async def answer() -> Failure:
        return failure

    call = RoleCall("judge", Handle(answer), timeout_s=1)  # type: ignore[arg-type]
    assert asyncio.run(call("judge", [1, 2], [3, 4])) == [failure, failure]


def test_an_empty_batch_is_not_sent() -> None:
    handle = Handle(hang)
    assert asyncio.run(RoleCall("judge", handle, 1)("judge", [], [])) == []  # type: ignore[arg-type]
    assert handle.calls == []


def test_paths_are_anchored_where_the_deploy_runs() -> None:
    settings = anchored(load("embedded", environ={}))
    assert settings.paths.artifacts.startswith("/")
    assert settings.serve.keys_file.is_absolute()
    assert settings.ledger.url.startswith("sqlite:////")
    assert anchored(settings) == settings
