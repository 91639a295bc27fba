"""Pictures of recommendations: cards, posters, and posters that cannot be used."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.errors import RequestError, StorageError
from segue.pictures import draw_list
from segue.pictures.recommendation_list import MAX_HISTORY, colour_key_of
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


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(("suffix", "start"), [
    (".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG"),
])  # fmt: skip
def test_the_suffix_selects_the_format(
    model: Recommender, tmp_path: Path, suffix: str, start: bytes
) -> None:
    file = tmp_path / f"list{suffix}"
    picture = draw_list(model, file, HISTORY, 4)
    assert picture.file == str(file)
    assert file.read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_list_gives_the_same_bytes(
    model: Recommender, tmp_path: Path, suffix: str
) -> None:
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    for file in (first, second):
        draw_list(model, file, HISTORY[:2], 2)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 2), (6, 20)])
def test_the_page_grows_with_the_list(model: Recommender, tmp_path: Path, n: int, k: int) -> None:
    draw_list(model, tmp_path / "list.png", HISTORY[:n], k)
    height, width, _ = pixels(tmp_path / "list.png").shape
    assert (height > 1100) == (k > 7)  # a second row
    assert (width > 900) == (max(n, k) > 3)  # a fourth column


@pytest.mark.parametrize(("item", "key"), [
    ({"artist": "The Bujis", "genres": ["Pop"]}, "The Bujis"),
    ({"genres": ["Drama", "War"]}, "Drama"),
    ({"genres": ["Drama"], "title": "War"}, "Drama"),
    ({"genres": []}, ""),
    ({}, ""),
])  # fmt: skip
def test_the_artist_or_the_first_genre_selects_the_colour(item: dict, key: str) -> None:
    assert colour_key_of(item) == key


def test_without_a_history_only_recommendations_are_drawn(
    model: Recommender, tmp_path: Path
) -> None:
    draw_list(model, tmp_path / "no-history.png", (), 3)
    draw_list(model, tmp_path / "one-event.png", HISTORY[:1], 3)
    assert len(pixels(tmp_path / "no-history.png")) < 0.7 * len(pixels(tmp_path / "one-event.png"))


def test_a_users_history_is_drawn_before_the_items(model: Recommender, tmp_path: Path) -> None:
    """The history has 20 events, more than are shown. The given items come last."""
    draw_list(model, tmp_path / "user.svg", user="u3", k=2)
    draw_list(model, tmp_path / "both.svg", ["no such item"], user="u3", k=2)
    draw_list(model, tmp_path / "items.svg", [f"i{(3 + n) % 30}" for n in range(20)], k=2)
    by_user, by_both, by_items = (
        (tmp_path / f"{name}.svg").read_bytes() for name in ("user", "both", "items")
    )
    assert by_user == by_items
    assert by_both != by_user
    assert MAX_HISTORY < 20


@pytest.mark.slow
def test_include_seen_recommends_items_of_the_history(model: Recommender, tmp_path: Path) -> None:
    """All 30 items of the catalogue are recommended, or all but one."""
    seen, unseen = tmp_path / "seen.svg", tmp_path / "unseen.svg"
    draw_list(model, seen, HISTORY[:1], 30, include_seen=True)
    draw_list(model, unseen, HISTORY[:1], 30)
    assert seen.read_text().count("score ") == unseen.read_text().count("score ") + 1 == 30


def test_posters_are_drawn_and_missing_ones_counted(
    model: Recommender, tmp_path: Path, posters: Path
) -> None:
    save_poster(posters / "i0.jpg")
    save_poster(posters / "i1.PNG", (300, 20), "RGBA")
    save_poster(posters / "i2.webp", (20, 300))
    content = (posters / "i0.jpg").read_bytes()
    (posters / "i3.jpg").write_bytes(content[: len(content) // 2])
    (posters / "i4.png").write_bytes(b"this is no image")
    (posters / "i5.jpeg").touch()
    answer = model.recommend(HISTORY, 2)
    picture = draw_list(model, tmp_path / "list.png", HISTORY, 2, posters=posters)
    assert picture.notes[:2] == [
        f"2 of 8 items have no poster in {posters}",
        "3 of 6 posters could not be read: i3.jpg, i4.png, i5.jpeg",
    ]
    assert not {item.item_id for item in answer.items} & set(HISTORY)
    assert share_of(RED, tmp_path / "list.png") > 0.02
    draw_list(model, tmp_path / "cards.png", HISTORY, 2)
    assert share_of(RED, tmp_path / "cards.png") == 0


def test_only_the_first_unreadable_posters_are_named(
    model: Recommender, tmp_path: Path, posters: Path
) -> None:
    for item in HISTORY:
        (posters / f"{item}.jpg").touch()
    picture = draw_list(model, tmp_path / "list.png", HISTORY, 1, posters=posters)
    assert "6 of 6 posters could not be read: i0.jpg, i1.jpg, i2.jpg, ..." in picture.notes


def test_an_image_with_too_many_pixels_is_not_read(
    model: Recommender, tmp_path: Path, posters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_poster(posters / "i0.png", (40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    picture = draw_list(model, tmp_path / "list.png", ["i0"], 1, posters=posters)
    assert "1 of 1 posters could not be read: i0.png" in picture.notes


@pytest.mark.parametrize("item_id", ["../secret", "/etc/secret", "a\0b", "x" * 5000])
def test_an_item_id_cannot_lead_out_of_the_folder(
    model: Recommender, tmp_path: Path, posters: Path, item_id: str
) -> None:
    save_poster(tmp_path / "secret.jpg")
    picture = draw_list(model, tmp_path / "list.png", [item_id], 1, posters=posters)
    assert picture.notes[0] == f"2 of 2 items have no poster in {posters}"
    assert share_of(RED, tmp_path / "list.png") == 0


def test_a_missing_folder_of_posters_is_refused(model: Recommender, tmp_path: Path) -> None:
    file = tmp_path / "list.png"
    with pytest.raises(RequestError, match="nowhere does not exist"):
        draw_list(model, file, HISTORY, posters=tmp_path / "nowhere")
    (tmp_path / "note.txt").touch()
    with pytest.raises(RequestError, match=r"note\.txt is not a folder"):
        draw_list(model, file, HISTORY, posters=tmp_path / "note.txt")
    assert not file.exists()


@pytest.mark.parametrize("name", ["list.jpg", "list", "list.png.gz", ".png"])
def test_an_unsupported_suffix_is_refused_first(
    model: Recommender, name: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=r"expected \.png, \.svg or \.pdf"):
        draw_list(model, tmp_path / name, HISTORY, -1, posters=tmp_path / "nowhere")


def test_more_items_than_a_picture_can_have_are_refused(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="k is 101, a picture has at most 100 items"):
        draw_list(model, tmp_path / "list.png", HISTORY, 101)
    with pytest.raises(RequestError, match="more than the catalogue of 30 items"):
        draw_list(model, tmp_path / "list.png", HISTORY, 31)


def test_a_list_that_cannot_be_written_is_an_error(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        draw_list(model, tmp_path / "nowhere" / "list.png", HISTORY, 1)
    folder = tmp_path / "folder.png"
    folder.mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        draw_list(model, folder, HISTORY, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.png"]


def test_a_full_disk_leaves_the_old_picture(model: Recommender, tmp_path: Path) -> None:
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
