"""Which column holds what: guessed, overridden, missing, ambiguous."""

from __future__ import annotations

import pytest

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.columns import SPELLINGS, Columns, guess_columns, is_usual


def guess(header: str, **options: object) -> Columns:
    config = SourceConfig.model_validate(options)
    return guess_columns(header.split(","), config, "log.csv")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("user_id,item_id", Columns("user_id", "item_id", None, None, None)),
        (
            "userId,movieId,rating,timestamp",
            Columns("userId", "movieId", "timestamp", "rating", None),
        ),
        ("USER,ITEM,TS", Columns("USER", "ITEM", "TS", None, None)),
        ("timestamp,visitorid,itemid", Columns("visitorid", "itemid", "timestamp", None, None)),
        (
            "reviewerID,asin,overall,unixReviewTime,reviewTime",
            Columns("reviewerID", "asin", "unixReviewTime", "overall", None),
        ),
        (
            "user_id:token,item_id:token,rating:float,timestamp:float",
            Columns("user_id:token", "item_id:token", "timestamp:float", "rating:float", None),
        ),
        (
            "Session ID,track_id,played at",
            Columns("Session ID", "track_id", "played at", None, None),
        ),
        ("playlist_id,Track,stars", Columns("playlist_id", "Track", None, "stars", None)),
        ("customer_id,sku,date,weight", Columns("customer_id", "sku", "date", "weight", None)),
    ],
)
def test_usual_spellings_are_recognised(header: str, expected: Columns) -> None:
    assert guess(header) == expected


def test_names_of_ids_win_over_bare_nouns() -> None:
    columns = guess("user,user_id,movie,movie_id,date,timestamp")
    assert columns == Columns("user_id", "movie_id", "timestamp", None, None)


def test_no_spelling_has_two_roles() -> None:
    words = [word for tiers in SPELLINGS.values() for tier in tiers for word in tier.split()]
    assert len(words) == len(set(words))
    assert all(is_usual(word) for word in words)
    assert not is_usual("17")


def test_overrides_come_before_guesses() -> None:
    columns = guess(
        "user_id,item_id,who,what,when,score,how",
        user_column="who",
        item_column="what",
        time_column="when",
        rating_column="score",
        event_column="how",
    )
    assert columns == Columns("who", "what", "when", "score", "how")


def test_an_override_may_differ_in_case() -> None:
    assert guess("WHO,item_id", user_column="who").user == "WHO"


def test_an_override_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(SourceError, match=r"no column 'usr_id'.*--user-column") as error:
        guess("user_id,item_id", user_column="usr_id")
    assert error.value.hint == "did you mean 'user_id'?"


@pytest.mark.parametrize(
    ("header", "role"), [("buyer,item_id", "user"), ("user_id,thing", "item"), ("a,b", "user")]
)
def test_a_missing_column_lists_those_that_are_there(header: str, role: str) -> None:
    with pytest.raises(SourceError) as error:
        guess(header)
    assert f"looks like the {role}'s id" in error.value.message
    assert header.replace(",", ", ") in error.value.message
    assert f"--{role}-column" in error.value.hint


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("user_id,session_id,item_id", "user"),
        ("user_id,item_id,product_id", "item"),
        ("user_id,item_id,timestamp,event_time", "time"),
        ("user_id,item_id,rating,stars", "rating"),
    ],
)
def test_an_ambiguous_column_is_the_users_choice(header: str, role: str) -> None:
    with pytest.raises(
        SourceError, match=f"more than one column that could be the {role}"
    ) as error:
        guess(header)
    assert error.value.hint == f"choose one with --{role}-column"


@pytest.mark.parametrize(
    ("options", "roles"),
    [
        ({"user_column": "item_id"}, ("user", "item")),
        ({"user_column": "id", "item_column": "ID"}, ("user", "item")),
        ({"time_column": "user_id"}, ("user", "time")),
        ({"rating_column": "timestamp"}, ("time", "rating")),
        ({"event_column": "item_id"}, ("item", "event")),
    ],
)
def test_a_column_has_one_role(options: dict[str, str], roles: tuple[str, str]) -> None:
    with pytest.raises(SourceError, match="is taken for the {} and the {}".format(*roles)) as error:
        guess("user_id,item_id,timestamp,id", **options)
    assert error.value.hint == "name another with --{}-column or --{}-column".format(*roles)


@pytest.mark.parametrize(
    "first_line", ["u1,i1,978300760", "u1,i1,2001-01-01T00:00:00Z", "1,i1", "u,-1.5", "196 242 3"]
)
def test_a_file_that_begins_with_an_event_needs_a_header(first_line: str) -> None:
    for options in ({}, {"user_column": "user_id", "item_column": "item_id"}):
        with pytest.raises(SourceError) as error:
            guess(first_line, **options)
        assert error.value.hint.startswith("is its first line an event? Put a header above it")


@pytest.mark.parametrize("header", ["who,what,2nd", "a,b", "x1,y2,"])
def test_names_that_are_no_values_are_a_header(header: str) -> None:
    with pytest.raises(SourceError) as error:
        guess(header)
    assert error.value.hint == "name it with --user-column"


def test_numbers_can_name_columns() -> None:
    assert guess("0,1", user_column="0", item_column="1") == Columns("0", "1", None, None, None)


def test_the_event_column_matters_only_where_it_is_asked_for() -> None:
    assert guess("user_id,item_id,event").event is None
    assert guess("user_id,item_id,event", event_type=("view",)).event == "event"
    with pytest.raises(SourceError, match="event's type") as error:
        guess("user_id,item_id", event_type=("view",))
    assert "--event-column" in error.value.hint


@pytest.mark.parametrize(
    ("column", "users"),
    [("user_id", True), ("visitorid", True), ("sessionId", False), ("playlist_id", False)],
)
def test_sessions_and_playlists_are_not_users(column: str, users: bool) -> None:
    assert guess(f"{column},item_id").sequences_are_users is users
