"""API keys: stored as SHA-256 hashes, in a file or an environment variable; one line per key.

A line is ``NAME:ROLE:SHA256`` or ``NAME:ROLE:SHA256:EXPIRES``, where the role is ``user`` or
``admin`` and the last day of the key is a date such as ``2027-12-31``. Blank lines and lines that
begin with ``#`` are comments. A key is 256 random bits, so that a plain hash of it cannot be
guessed; a chosen password would need a slow one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, NamedTuple, cast

from segue.errors import ConfigError
from segue.storage.paths import check_regular

KEYS_VARIABLE = "SEGUE_API_KEYS"
"""Environment variable with the lines of a key file; they may also be separated by commas."""

KEY_BYTES = 32
MAX_FILE_BYTES = 1 << 20
PREFIX = "segue_"
"""With what a key begins, so that scanners of source code recognise one that was leaked."""

Role = Literal["user", "admin"]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_FORM = "write NAME:user|admin:SHA256[:YYYY-MM-DD], as segue serve --new-key NAME prints it"


class ApiKey(NamedTuple):
    """A key that the server accepts.

    Attributes:
        name: what logs call it.
        role: ``admin`` may also reload models.
        digest: the SHA-256 of the key.
        expires: the last day, in UTC, on which it is accepted; None for no end.
    """

    name: str
    role: Role
    digest: bytes
    expires: date | None = None

    def has_expired(self, today: date) -> bool:
        """Whether the last day is over."""
        return self.expires is not None and today > self.expires

    @property
    def line(self) -> str:
        """The line of a key file."""
        fields = [self.name, self.role, self.digest.hex()]
        return ":".join([*fields, self.expires.isoformat()] if self.expires else fields)


class KeyRing:
    """The keys that a server accepts."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        """Collect keys; without any, every request is accepted."""
        self._keys = tuple(keys)

    def __len__(self) -> int:
        """Number of keys."""
        return len(self._keys)

    def find(self, presented: str) -> ApiKey | None:
        """The key that a client presents, also one that has expired; None if there is none.

        Compares with every key in constant time, so that the time says nothing about them.
        """
        digest, match = digest_of(presented), None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                match = key
        return match


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def new_key(name: str, role: Role = "user", expires: date | None = None) -> tuple[str, ApiKey]:
    """Draw a key at random: the secret, and what the server stores.

    Raises:
        ConfigError: the name is not possible.
    """
    if not _NAME.fullmatch(name):
        message = f"the name of a key is {name!r}, expected letters, digits, '.', '_' and '-'"
        raise ConfigError(message, "such as web or prometheus")
    secret = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return secret, ApiKey(name, role, digest_of(secret), expires)


def load_keys(file: Path | None, environment: Mapping[str, str]) -> KeyRing:
    """The keys of a file and of the environment variable.

    Raises:
        ConfigError: the file is missing, cannot be read or can be read by other users, or a line
            is not a key.
    """
    keys = [] if file is None else _parse(_read(file), str(file))
    lines = environment.get(KEYS_VARIABLE, "").replace(",", "\n")
    keys += _parse(lines, f"the environment variable {KEYS_VARIABLE}")
    names = [key.name for key in keys]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two API keys have the name {repeated!r}", "give each its own")
    if file is not None and not keys:
        raise ConfigError(f"{file} has no API key", "add one with segue serve --new-key NAME")
    return KeyRing(keys)


def today() -> date:
    """The current day in UTC."""
    return datetime.now(UTC).date()


def _read(file: Path) -> str:
    check_regular(file, ConfigError)
    try:
        if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH):
            message = f"the key file {file} can be read or written by other users"
            raise ConfigError(message, f"run: chmod 600 {file}")
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        message = f"cannot read the key file {file}: {error.strerror}"
        raise ConfigError(message, "make one with segue serve --new-key NAME") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{file} has more than {MAX_FILE_BYTES:,} bytes", _FORM)
    return content.decode("utf-8", "replace")


def _parse(text: str, source: str) -> list[ApiKey]:
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (key := _key_of(line.strip())) is None:
            # Without the line: it may be a key itself.
            raise ConfigError(f"line {number} of {source} is not an API key", _FORM)
        keys.append(key)
    return keys


def _key_of(line: str) -> ApiKey | None:
    name, role, digest, *rest = [*line.split(":"), "", "", ""][: max(3, line.count(":") + 1)]
    is_valid = _NAME.fullmatch(name) and role in ("user", "admin") and _HASH.fullmatch(digest)
    if not is_valid or len(rest) > 1:
        return None
    try:
        expires = date.fromisoformat(rest[0]) if rest else None
    except ValueError:
        return None
    return ApiKey(name, cast(Role, role), bytes.fromhex(digest), expires)
