"""Access control: the header ``Host``, API keys, roles, and the rate limit of each key."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from segue.server.api_keys import ApiKey, KeyRing, today
from segue.server.errors import ApiError, error_response, retry_later
from segue.server.middleware.headers import header
from segue.server.rate_limit import RateLimiter
from segue.server.request_record import record_of

OPEN_PATHS = frozenset(["/healthz", "/readyz", "/openapi.json"])
"""Paths that need no key and do not count for the rate limit; so do those of the page."""
PAGE, PAGE_PREFIX = "/", "/page/"
ADMIN_PREFIX = "/v1/admin/"
ANONYMOUS = "anonymous"
"""The name of clients where the server has no keys."""


class AccessControl:
    """Refuses requests that may not be made."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing,
        limiter: RateLimiter,
        trusted_hosts: tuple[str, ...] = (),
    ) -> None:
        """Wrap an application.

        Args:
            keys: without any, every request but those of administrators is accepted.
            limiter: of requests per key.
            trusted_hosts: the accepted values of ``Host``, without port; all if there are none.
                A server without keys needs them against DNS rebinding: a web page elsewhere whose
                name is changed to resolve to this machine still sends its own name.
        """
        self._app = app
        self._keys = keys
        self._limiter = limiter
        self._trusted_hosts = frozenset(trusted_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except ApiError as error:
                await error_response(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        self._check_host(header(scope, b"host"))
        if path in OPEN_PATHS or path == PAGE or path.startswith(PAGE_PREFIX):
            return
        key = self._key_of(scope) if len(self._keys) else None
        name = ANONYMOUS if key is None else key.name
        record_of(scope).key = name
        if path.startswith(ADMIN_PREFIX) and (key is None or key.role != "admin"):
            raise _forbidden(has_keys=len(self._keys) > 0)
        if wait_s := self._limiter.take(name):
            raise retry_later(429, "rate_limited", "this key sent too many requests", wait_s)

    def _check_host(self, host: str) -> None:
        name, _, port = host.rpartition(":")
        host = name if name and port.isdigit() else host
        if self._trusted_hosts and host.lower() not in self._trusted_hosts:
            message = "the header Host does not name this server"
            raise ApiError(421, "misdirected_request", message, "call it by its own address")

    def _key_of(self, scope: Scope) -> ApiKey:
        scheme, _, token = header(scope, b"authorization").partition(" ")
        presented = token.strip() if scheme.lower() == "bearer" else header(scope, b"x-api-key")
        if not presented:
            raise _unauthorized("no API key was given")
        key = self._keys.find(presented)
        if key is None:
            raise _unauthorized("the API key is not one of this server")
        if key.has_expired(today()):
            raise _unauthorized("the API key has expired")
        return key


def _forbidden(*, has_keys: bool) -> ApiError:
    if has_keys:
        message = "this key may not administer the server"
        hint = "use a key with the role admin, or send SIGHUP to the server"
    else:
        message = "a server without API keys cannot be administered over HTTP"
        hint = "send SIGHUP to the server, or start it with --key-file"
    return ApiError(403, "forbidden", message, hint)


def _unauthorized(message: str) -> ApiError:
    hint = "send the header Authorization: Bearer KEY"
    return ApiError(401, "unauthorized", message, hint, {"www-authenticate": "Bearer"})
