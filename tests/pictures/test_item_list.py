"""The picture of a list: what is on it, and what becomes of posters that are not as they should."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.errors import RequestError, StorageError
from segue.pictures import draw_list
from segue.pictures.item_list import MOST_SHOWN, kin_of
from segue.recommender import Recommender

HISTORY = [f"i{item}" for item in range(6)]
RED = (230, 10, 20)


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def share_of(colour: tuple[int, int, int], file: Path) -> float:
    return float(np.mean(np.abs(pixels(file).astype(int) - colour).max(axis=-1) < 8))


def save_poster(file: Path, size: tuple[int, int] = (60, 90), mode: str = "RGB") -> None:
    colour = (*RED, 255) if mode == "RGBA" else RED
    Image.new(mode, size, colour).save(file, quality=95)


@pytest.fixture
def posters(tmp_path: Path) -> Path:
    folder = tmp_path / "posters"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("ending", "begins"), [
    (".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG"),
])  # fmt: skip
def test_the_ending_decides_the_format(
    model: Recommender, tmp_path: Path, ending: str, begins: bytes
) -> None:
    file = tmp_path / f"list{ending}"
    drawn = draw_list(model, file, HISTORY, 4)
    assert drawn.file == str(file)
    assert file.read_bytes().startswith(begins)
    assert [other.name for other in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_same_list_gives_the_same_bytes(
    model: Recommender, tmp_path: Path, ending: str
) -> None:
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    for file in (first, second):
        draw_list(model, file, HISTORY[:2], 2)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 2), (6, 20)])
def test_the_page_grows_with_the_list(model: Recommender, tmp_path: Path, n: int, k: int) -> None:
    draw_list(model, tmp_path / "list.png", HISTORY[:n], k)
    height, width, _ = pixels(tmp_path / "list.png").shape
    assert (height > 1100) == (k > 7)  # a second row
    assert (width > 900) == (max(n, k) > 3)  # a fourth column


@pytest.mark.parametrize(("known", "kin"), [
    ({"artist": "The Bujis", "genres": ["Pop"]}, "The Bujis"),
    ({"genres": ["Drama", "War"]}, "Drama"),
    ({"genres": ["Drama"], "title": "War"}, "Drama"),
    ({"genres": []}, ""),
    ({}, ""),
])  # fmt: skip
def test_the_artist_or_else_the_first_genre_decides_the_colour(known: dict, kin: str) -> None:
    assert kin_of(known) == kin


def test_without_a_history_only_what_comes_next_is_drawn(
    model: Recommender, tmp_path: Path
) -> None:
    draw_list(model, tmp_path / "from-start.png", (), 3)
    draw_list(model, tmp_path / "after-one.png", HISTORY[:1], 3)
    assert len(pixels(tmp_path / "from-start.png")) < 0.7 * len(pixels(tmp_path / "after-one.png"))


def test_a_users_history_is_drawn_before_the_items(model: Recommender, tmp_path: Path) -> None:
    """20 events are more than are shown; the items given are the last of them."""
    draw_list(model, tmp_path / "user.svg", user="u3", k=2)
    draw_list(model, tmp_path / "more.svg", ["no such item"], user="u3", k=2)
    draw_list(model, tmp_path / "long.svg", [f"i{(3 + n) % 30}" for n in range(20)], k=2)
    user, more, long = ((tmp_path / f"{n}.svg").read_bytes() for n in ("user", "more", "long"))
    assert user == long
    assert more != user
    assert MOST_SHOWN < 20


def test_items_of_the_history_come_again_when_asked_for(model: Recommender, tmp_path: Path) -> None:
    """All 30 items of the catalogue, or all but one."""
    seen, unseen = tmp_path / "seen.svg", tmp_path / "unseen.svg"
    draw_list(model, seen, HISTORY[:1], 30, include_seen=True)
    draw_list(model, unseen, HISTORY[:1], 30)
    assert seen.read_text().count("score ") == unseen.read_text().count("score ") + 1 == 30


def test_posters_are_drawn_and_the_rest_counted(
    model: Recommender, tmp_path: Path, posters: Path
) -> None:
    save_poster(posters / "i0.jpg")
    save_poster(posters / "i1.PNG", (300, 20), "RGBA")
    save_poster(posters / "i2.webp", (20, 300))
    whole = (posters / "i0.jpg").read_bytes()
    (posters / "i3.jpg").write_bytes(whole[: len(whole) // 2])
    (posters / "i4.png").write_bytes(b"this is no image")
    (posters / "i5.jpeg").touch()
    answer = model.recommend(HISTORY, 2)
    drawn = draw_list(model, tmp_path / "list.png", HISTORY, 2, posters=posters)
    assert drawn.notes[:2] == [
        f"2 of 8 items have no poster in {posters}",
        "3 of 6 posters could not be read: i3.jpg, i4.png, i5.jpeg",
    ]
    assert not {item.item_id for item in answer.items} & set(HISTORY)
    assert share_of(RED, tmp_path / "list.png") > 0.02
    draw_list(model, tmp_path / "cards.png", HISTORY, 2)
    assert share_of(RED, tmp_path / "cards.png") == 0


def test_only_the_first_broken_posters_are_named(
    model: Recommender, tmp_path: Path, posters: Path
) -> None:
    for item in HISTORY:
        (posters / f"{item}.jpg").touch()
    drawn = draw_list(model, tmp_path / "list.png", HISTORY, 1, posters=posters)
    assert "6 of 6 posters could not be read: i0.jpg, i1.jpg, i2.jpg, ..." in drawn.notes


def test_an_image_of_too_many_pixels_is_no_poster(
    model: Recommender, tmp_path: Path, posters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_poster(posters / "i0.png", (40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    drawn = draw_list(model, tmp_path / "list.png", ["i0"], 1, posters=posters)
    assert "1 of 1 posters could not be read: i0.png" in drawn.notes


@pytest.mark.parametrize("item_id", ["../secret", "/etc/secret", "a\0b", "x" * 5000, ""])
def test_an_id_leads_out_of_no_folder(
    model: Recommender, tmp_path: Path, posters: Path, item_id: str
) -> None:
    save_poster(tmp_path / "secret.jpg")
    drawn = draw_list(model, tmp_path / "list.png", [item_id], 1, posters=posters)
    assert drawn.notes[0] == f"2 of 2 items have no poster in {posters}"
    assert share_of(RED, tmp_path / "list.png") == 0


def test_a_folder_of_posters_that_is_none(model: Recommender, tmp_path: Path) -> None:
    file = tmp_path / "list.png"
    with pytest.raises(RequestError, match="nowhere does not exist"):
        draw_list(model, file, HISTORY, posters=tmp_path / "nowhere")
    (tmp_path / "note.txt").touch()
    with pytest.raises(RequestError, match=r"note\.txt is not a folder"):
        draw_list(model, file, HISTORY, posters=tmp_path / "note.txt")
    assert not file.exists()


@pytest.mark.parametrize("name", ["list.jpg", "list", "list.png.gz", ".png"])
def test_another_ending_is_refused_before_all_else(
    model: Recommender, name: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=r"expected \.png, \.svg or \.pdf"):
        draw_list(model, tmp_path / name, HISTORY, -1, posters=tmp_path / "nowhere")


def test_more_than_a_picture_has_room_for(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="k is 101, a picture has room for 100"):
        draw_list(model, tmp_path / "list.png", HISTORY, 101)
    with pytest.raises(RequestError, match="beyond the catalogue of 30 items"):
        draw_list(model, tmp_path / "list.png", HISTORY, 31)


def test_a_picture_that_cannot_be_written(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        draw_list(model, tmp_path / "nowhere" / "list.png", HISTORY, 1)
    taken = tmp_path / "taken.png"
    taken.mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        draw_list(model, taken, HISTORY, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["taken.png"]


def test_a_disk_that_fills_up_leaves_the_old_picture(model: Recommender, tmp_path: Path) -> None:
    file = tmp_path / "list.png"
    file.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*list\.png: File too large"):
            draw_list(model, file, HISTORY, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
