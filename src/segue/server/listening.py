"""The socket of a server: bound before the models load, so that a busy port is noticed at once."""

from __future__ import annotations

import errno
import ipaddress
import socket

from segue.errors import ConfigError

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]", "::1")
"""Names by which a server that listens on loopback only is called."""


def is_loopback(host: str) -> bool:
    """Whether only processes of this machine reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(host: str, *, has_keys: bool) -> None:
    """Check that a server without API keys listens on loopback only.

    Raises:
        ConfigError: it would not.
    """
    if not is_loopback(host) and not has_keys:
        raise ConfigError(
            f"{host} is reached from other machines, and no API key is required",
            "give --key-file FILE (segue serve --new-key NAME makes a key), or leave --host out",
        )


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address and does not listen yet.

    Args:
        host: a name or an address.
        port: 0 for any free one.

    Raises:
        ConfigError: the address is in use, or not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise ConfigError(f"there is no address {host!r}", "127.0.0.1 is usual") from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _bind_error(host, port, error) from None
    return bound


def url_of(bound: socket.socket) -> str:
    """The URL under which a bound socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_error(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        message = f"port {port} of {host} is in use"
        return ConfigError(message, "stop what uses it, or give another --port")
    if error.errno == errno.EACCES:
        return ConfigError(f"port {port} needs more rights", "give a --port from 1024 up")
    return ConfigError(f"cannot listen on {host}: {error.strerror}", "give another --host")
