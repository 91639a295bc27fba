"""A real server on a loopback port: connections that are slow, cut or of another protocol."""

from __future__ import annotations

import json
import socket

import httpx
import pytest
from real_server import TIMEOUT_S, Address


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
        assert connection.recv(65_536).endswith(b'{"status":"ok"}')
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
