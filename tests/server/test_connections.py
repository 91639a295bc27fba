"""A real server on a loopback port: clients that are slow, cut, excessive or of another protocol.

After each, nothing is left of them: no connection, no task, no request in the queue.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from real_server import MAX_CONNECTIONS, TIMEOUT_S, Address, Served

FREE_S = 30
"""Within this time, everything must be free again; usually it is at once."""


@pytest.fixture(autouse=True)
def nothing_is_left(address: Served) -> Iterator[None]:
    yield
    end_s = time.monotonic() + FREE_S
    while not address.is_free():
        assert time.monotonic() < end_s, address.server.server_state.connections
        time.sleep(0.02)
    body = {"items": ["i1"], "k": 1}
    assert httpx.post(f"{address.url}/v1/recommend", json=body).status_code == 200


def request_bytes(body: bytes, length: int | None = None) -> bytes:
    n = len(body) if length is None else length
    head = (
        "POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {n}\r\n\r\n"
    )
    return head.encode() + body


def received(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    connection.settimeout(10 * TIMEOUT_S)
    data = b""
    while part := connection.recv(65_536):
        data += part
    return data


def test_answers_over_a_connection_that_stays_open(address: Address) -> None:
    with httpx.Client(base_url=address.url) as client:
        for _ in range(3):
            response = client.post("/v1/recommend", json={"items": ["i1"], "k": 2})
            assert [item["rank"] for item in response.json()["items"]] == [1, 2]


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost:"])
def test_headers_that_do_not_arrive(address: Address, sent: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(sent)
        assert received(connection) == b""


def test_headers_that_do_not_arrive_after_a_response(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        response = b""
        while not response.endswith(b'{"status":"ok"}'):
            part = connection.recv(65_536)
            assert part, response
            response += part
        connection.sendall(b"GET /hea")
        assert received(connection) == b""


def test_a_body_that_does_not_arrive(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(request_bytes(b'{"items"', length=100))
        response = received(connection)
    assert response.startswith(b"HTTP/1.1 408 ")
    assert json.loads(response.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


def test_a_client_that_leaves_in_the_middle_of_its_body(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(request_bytes(b'{"items"', length=100))
    assert httpx.get(f"{address.url}/healthz").status_code == 200


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"\x00" * 100])
def test_what_is_not_http(address: Address, sent: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(sent)
        assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_many_idle_connections_do_not_stop_the_others(address: Address) -> None:
    idle = [socket.create_connection(address) for _ in range(100)]
    try:
        response = httpx.post(f"{address.url}/v1/recommend", json={"items": ["i1"]})
        assert response.status_code == 200
    finally:
        for connection in idle:
            connection.close()


def is_closed_while(connection: socket.socket, part: bytes) -> bool:
    """Whether the server closes the connection while a little is sent again and again."""
    connection.settimeout(TIMEOUT_S / 20)
    try:
        for _ in range(1_000):
            connection.sendall(part)
            with suppress(TimeoutError):
                if not connection.recv(65_536):
                    return True
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        (b"GET /healthz HTTP/1.1\r\n", b"X-A: b\r\n"),
        (b"GET /healthz HTTP/1.1\r\nX-A: ", b"b"),
        (b"", b"G"),
        (request_bytes(b'{"items": [', length=100_000), b" "),
        (
            b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"1\r\n[\r\n",
        ),
    ],
    ids=["header lines", "one header", "method", "body", "chunks"],
)
def test_clients_that_drip(address: Address, sent: bytes, part: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(sent)
        assert is_closed_while(connection, part)


@pytest.mark.parametrize("line", [b"X-A: " + b"b" * 8_000 + b"\r\n", b"b" * 8_000])
def test_headers_without_end(address: Address, line: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-B: ")
        response = b""
        with suppress(ConnectionError):
            for _ in range(10):
                connection.sendall(line)
            response = received(connection)
    assert response.startswith(b"HTTP/1.1 431 ") or not response
    if response:
        assert (
            json.loads(response.partition(b"\r\n\r\n")[2])["error"]["code"] == "headers_too_large"
        )


def test_a_body_that_is_announced_too_large_is_not_read(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(request_bytes(b"{", length=1 << 40))
        connection.settimeout(10)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_end(address: Address) -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    with socket.create_connection(address) as connection:
        connection.settimeout(10)
        connection.sendall(
            b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        # The server may read on until its answer has arrived: how much depends on the machine.
        is_closed, end_s = False, time.monotonic() + 60
        while not is_closed and time.monotonic() < end_s:
            try:
                connection.sendall(chunk)
            except (ConnectionError, TimeoutError):
                is_closed = True
        assert is_closed


def test_responses_that_nobody_reads(address: Served) -> None:
    call = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    n_bytes = len(httpx.get(f"{address.url}/openapi.json").content)
    with socket.create_connection(address) as connection:
        connection.settimeout(TIMEOUT_S)
        with suppress(ConnectionError, TimeoutError):
            for _ in range(30_000_000 // n_bytes):  # more than the buffers of both ends hold
                connection.sendall(call)
        end_s = time.monotonic() + FREE_S
        while not address.is_free():  # while the client still holds its end
            assert time.monotonic() < end_s
            time.sleep(0.02)


def test_more_connections_than_the_server_holds(address: Address) -> None:
    connections = [socket.create_connection(address) for _ in range(MAX_CONNECTIONS + 20)]
    try:
        assert all(received(connection) == b"" for connection in connections[-20:])
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (b"Content-Type: text/plain\r\n", b"{}", b"415"),
        (b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n", b"{}", b"415"),
        (b"", b"{}", b"415"),
        (b"Content-Type: application/json\r\n", b'{"items": ["\xff\xfe"]}', b"400"),
        (b"Content-Type: application/json\r\n", b'{"items": ["\xed\xa0\x80"]}', b"4"),
        (b"Content-Type: application/json\r\n", b"[" * 100_000, b"400"),
        (b"Content-Type: application/json\r\n", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"4"),
        (b"Content-Type: application/json\r\n", b'{"items": ["i1"]}garbage', b"400"),
    ],
    ids=["text", "gzip", "no type", "not UTF-8", "surrogate", "deep list", "deep object", "rest"],
)
def test_what_is_refused(address: Address, headers: bytes, body: bytes, status: bytes) -> None:
    head = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers
    with socket.create_connection(address) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        response = received(connection)
    assert response.startswith(b"HTTP/1.1 " + status)
    assert json.loads(response.partition(b"\r\n\r\n")[2])["error"]["message"]
