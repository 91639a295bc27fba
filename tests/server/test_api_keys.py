"""API keys: how they are made, stored and recognised, and what is wrong with a key file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from segue.errors import ConfigError
from segue.server.api_keys import KEYS_VARIABLE, ApiKey, KeyRing, digest_of, load_keys, new_key


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "keys"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_key_is_recognised_and_never_stored(tmp_path: Path) -> None:
    secret, key = new_key("web", "admin", date(2030, 1, 31))
    assert secret not in key.line
    ring = load_keys(key_file(tmp_path, f"# keys\n\n{key.line}\n"), {})
    assert ring.find(secret) == key
    assert ring.find(secret + "x") is None
    assert ring.find("") is None


def test_two_keys_differ() -> None:
    assert new_key("a")[0] != new_key("a")[0]
    assert len(new_key("a")[0]) > 40


def test_a_key_is_accepted_until_the_end_of_its_last_day() -> None:
    key = ApiKey("web", "user", digest_of("x"), date(2030, 1, 31))
    assert not key.has_expired(date(2030, 1, 31))
    assert key.has_expired(date(2030, 2, 1))
    assert not key._replace(expires=None).has_expired(date(2999, 1, 1))


def test_the_environment_has_keys_too(tmp_path: Path) -> None:
    pairs = [new_key(name) for name in ("a", "b", "c")]
    lines = [key.line for _, key in pairs]
    file = key_file(tmp_path, lines[0])
    ring = load_keys(file, {KEYS_VARIABLE: ",".join(lines[1:])})
    assert [ring.find(secret) for secret, _ in pairs] == [key for _, key in pairs]


def test_without_keys_there_are_none() -> None:
    assert len(load_keys(None, {})) == 0
    assert KeyRing().find("x") is None


@pytest.mark.parametrize(
    "line",
    [
        "segue_abcdefgh",
        "web:user",
        "web:root:" + 64 * "0",
        "web:user:" + 63 * "0",
        "we b:user:" + 64 * "0",
        "web:user:" + 64 * "0" + ":soon",
        "web:user:" + 64 * "0" + ":2030-01-31:x",
        ":user:" + 64 * "0",
    ],
)
def test_a_line_that_is_no_key_is_an_error_that_does_not_repeat_it(
    tmp_path: Path, line: str
) -> None:
    with pytest.raises(ConfigError, match=r"line 2 of .* is not an API key") as error:
        load_keys(key_file(tmp_path, "# one\n" + line), {})
    assert line not in str(error.value)


def test_equal_names_are_an_error(tmp_path: Path) -> None:
    lines = "\n".join(new_key("web")[1].line for _ in range(2))
    with pytest.raises(ConfigError, match="two API keys have the name 'web'"):
        load_keys(key_file(tmp_path, lines), {})


def test_a_key_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the key file .*: No such file"):
        load_keys(tmp_path / "keys", {})


def test_a_key_file_must_have_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no API key"):
        load_keys(key_file(tmp_path, "# none\n"), {})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o620])
def test_a_key_file_is_for_its_owner_only(tmp_path: Path, mode: int) -> None:
    file = key_file(tmp_path, new_key("web")[1].line, mode)
    with pytest.raises(ConfigError, match=r"by other users .run: chmod 600"):
        load_keys(file, {})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 65, "é"])
def test_names_of_keys_are_plain(name: str) -> None:
    with pytest.raises(ConfigError, match="the name of a key is"):
        new_key(name)
