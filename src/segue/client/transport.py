"""``Transport``: calls of a server over HTTP, with bounded retries; failures as ``ServerError``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import segue
from segue.client.retries import RetryPolicy
from segue.errors import ConfigError, RequestError, ServerError

if TYPE_CHECKING:
    import httpx
NOT_YET = frozenset(["not_ready", "unreachable", "timeout"])
"""Codes of errors of a server that may be starting."""
POLL_S = 1.0
"""How often such a server is called."""


class Transport:
    """Sends calls over connections that stay open. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout_s: float,
        policy: RetryPolicy,
        transport: httpx.BaseTransport | None,
    ) -> None:
        """Prepare; a connection is opened with the first call.

        Raises:
            ConfigError: httpx is not installed, or the URL, the key or the timeout is not possible.
        """
        if find_spec("httpx") is None:
            hint = "install segue with the extra client: pip install 'segue[client]'"
            raise ConfigError("segue.Client needs the package httpx", hint)
        import httpx

        if not 0 < timeout_s < math.inf:
            message = f"timeout_s is {timeout_s}, expected a number of seconds above 0"
            raise ConfigError(message, "60 is the default")
        self.url = url
        self._policy = policy
        self._has_key = api_key is not None
        headers = {"User-Agent": f"segue/{segue.__version__}"}
        if api_key is not None:
            if not api_key or not api_key.isascii() or not api_key.isprintable():
                # Without the key: messages end up in logs.
                message = "api_key is empty or has other characters than ASCII"
                raise ConfigError(message, "give the key that segue serve --new-key printed")
            headers["Authorization"] = f"Bearer {api_key}"
        try:
            self._http = httpx.Client(
                base_url=url, headers=headers, timeout=timeout_s, transport=transport
            )
        except httpx.InvalidURL:
            raise _no_address(url) from None
        if self._http.base_url.scheme not in ("http", "https") or not self._http.base_url.host:
            raise _no_address(url)

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> bytes:
        """The body of the response to GET."""
        return self._call("GET", path, params=_given(parameters or {}))

    def post(self, path: str, body: Mapping[str, Any], timeout_s: float | None = None) -> bytes:
        """The body of the response to POST.

        Args:
            path: of the route.
            body: plain values; see ``segue.client.requests``.
            timeout_s: seconds to wait for this answer, if not as usual.

        Raises:
            RequestError: a number in the body is not finite.
            ServerError: the server refused or failed to answer, or was not reached.
        """
        try:
            content = json.dumps(_given(body), allow_nan=False).encode()
        except ValueError as error:
            raise RequestError(f"a number is not finite: {error}", "give a finite one") from None
        further = {} if timeout_s is None else {"timeout": timeout_s}
        headers = {"Content-Type": "application/json"}
        return self._call("POST", path, content=content, headers=headers, **further)

    def delete(self, path: str) -> bytes:
        """The body of the response to DELETE."""
        return self._call("DELETE", path)

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until the server listens and its models are warmed up.

        Raises:
            ServerError: it is not ready in time, or answers otherwise than Segue does.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                response = self._send("GET", "/readyz", {})
                if response.is_success:
                    return
                error = self._error_of(response, timeout_s)
            except ServerError as failure:
                error = failure
            if error.code not in NOT_YET or time.monotonic() >= end_s:
                raise error
            time.sleep(POLL_S)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> bytes:
        """Send a call, and repeat it while the server has no room and says when it will."""
        response, startup_s = self._policy.send(
            lambda: self._send(method, path, options), time.sleep
        )
        if not response.is_success:
            raise self._error_of(response, startup_s)
        return response.content

    def _error_of(self, response: httpx.Response, startup_s: float) -> ServerError:
        """The error that a response is, with what to do in Python."""
        error = _error_in(response)
        if error.code == "unauthorized":
            given = "give another api_key" if self._has_key else "give it: api_key=KEY"
            error.hint = f"{given} to segue.Client; segue serve --new-key NAME makes one"
        elif error.code == "not_ready":
            error.message = f"{self.url} was not ready after {startup_s:g} s: {error.message}"
            error.hint = "call it later, or give a larger startup_timeout_s to segue.Client"
        return error

    def _send(self, method: str, path: str, options: Mapping[str, Any]) -> httpx.Response:
        import httpx

        if self._http.is_closed:
            raise RequestError("the client is closed", "make another segue.Client")
        try:
            return self._http.request(method, path, **options)
        except httpx.TimeoutException:
            message, hint = f"{self.url} did not answer in time", "give a larger timeout_s"
            raise ServerError(message, hint, code="timeout") from None
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            message, hint = f"{self.url} was not reached: {reason}", "is segue serve running there?"
            raise ServerError(message, hint, code="unreachable") from None


def _no_address(url: str) -> ConfigError:
    message = f"url is {url!r}, expected the address of a server"
    return ConfigError(message, "such as http://127.0.0.1:8000")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _error_in(response: httpx.Response) -> ServerError:
    """The error in the body of a response, or that there is none where something else answered."""
    status, request_id = response.status_code, response.headers.get("x-request-id", "")
    try:
        error = response.json()["error"]
        message, hint, code = (str(error[name]) for name in ("message", "hint", "code"))
    except (ValueError, LookupError, TypeError):
        message = f"{response.url} answered with status {status}, and not as Segue does"
        hint, code = "is it the address of segue serve?", "unexpected_response"
    return ServerError(message, hint, code=code, status=status, request_id=request_id)
