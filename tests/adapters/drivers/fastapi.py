"""Drivers of FastAPI: the guard as the dependency of plain and of async endpoints."""

# No postponed annotations: those of endpoints name what is made in a function.
from collections.abc import Iterator, Mapping
from functools import partial, wraps
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Security
from fastapi.responses import StreamingResponse

from cognito_guard import CognitoVerifier, Principal, Requires
from cognito_guard.fastapi import ChallengeError, CognitoBearer, challenge_response
from cognito_guard.testing import FakeUserPool

from ..contract import DriverFactory, described
from .asgi import METHODS, ASGIDriver, Endpoint


def guarded(is_async: bool, _pool: FakeUserPool, verifier: CognitoVerifier) -> ASGIDriver:
    """Guard each route by a dependency."""
    guard = CognitoBearer(verifier)
    callers: Mapping[str, Any] = {
        "/me": Depends(guard),
        "/read": Security(guard, scopes=["transactions/get"]),
        "/write": Security(guard, scopes=["transactions/post"]),
        "/either": Depends(guard.requires(Requires(any_scopes=["transactions/get", "transactions/post"]))),
        "/staff": Depends(guard.requires(Requires(groups="staff"))),
        "/recent": Depends(guard.requires(Requires(max_age=300))),
        "/combined": Depends(guard.requires(Requires(groups="staff") | Requires(scopes="transactions/post"))),
    }

    def public() -> dict[str, None]:
        return {"caller": None}

    def optional(caller: Annotated[Principal | None, Depends(guard.optional)]) -> dict[str, str | None]:
        return {"caller": None if caller is None else caller.subject}

    def boom(_: Annotated[Principal, Depends(guard)]) -> None:
        raise KeyError("user")

    def stream(caller: Annotated[Principal, Depends(guard)]) -> StreamingResponse:
        return StreamingResponse(_chunks(caller.subject))

    routes: dict[str, Endpoint] = {"/public": public, "/optional": optional, "/boom": boom, "/stream": stream}
    routes |= {path: _described(dependency) for path, dependency in callers.items()}
    app = FastAPI(exception_handlers={ChallengeError: challenge_response})
    for path, endpoint in routes.items():
        app.add_api_route(path, _async(endpoint) if is_async else endpoint, methods=METHODS, response_model=None)
    return ASGIDriver(f"fastapi {'async' if is_async else 'sync'}", app)


DRIVERS: list[DriverFactory] = [partial(guarded, is_async) for is_async in (False, True)]


def _described(dependency: Any) -> Endpoint:
    def endpoint(caller: Principal = dependency) -> dict[str, object]:
        return described(caller)

    return endpoint


def _async(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return endpoint(*args, **kwargs)

    return coroutine


def _chunks(subject: str) -> Iterator[str]:
    yield "caller: "
    yield subject
