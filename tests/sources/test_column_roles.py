"""The roles of columns: guessed, set by options, missing, ambiguous."""

from __future__ import annotations

import pytest

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.column_roles import SPELLINGS, ColumnRoles, guess_roles, is_usual


def guess(header: str, **options: object) -> ColumnRoles:
    config = SourceConfig.model_validate(options)
    return guess_roles(header.split(","), config, "log.csv")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("user_id,item_id", ColumnRoles("user_id", "item_id", None, None, None)),
        (
            "userId,movieId,rating,timestamp",
            ColumnRoles("userId", "movieId", "timestamp", "rating", None),
        ),
        ("USER,ITEM,TS", ColumnRoles("USER", "ITEM", "TS", None, None)),
        ("timestamp,visitorid,itemid", ColumnRoles("visitorid", "itemid", "timestamp", None, None)),
        (
            "reviewerID,asin,overall,unixReviewTime,reviewTime",
            ColumnRoles("reviewerID", "asin", "unixReviewTime", "overall", None),
        ),
        (
            "user_id:token,item_id:token,rating:float,timestamp:float",
            ColumnRoles("user_id:token", "item_id:token", "timestamp:float", "rating:float", None),
        ),
        (
            "Session ID,track_id,played at",
            ColumnRoles("Session ID", "track_id", "played at", None, None),
        ),
        ("playlist_id,Track,stars", ColumnRoles("playlist_id", "Track", None, "stars", None)),
        ("customer_id,sku,date,weight", ColumnRoles("customer_id", "sku", "date", "weight", None)),
    ],
)
def test_usual_spellings_are_recognised(header: str, expected: ColumnRoles) -> None:
    assert guess(header) == expected


def test_names_of_ids_take_precedence_over_plain_nouns() -> None:
    roles = guess("user,user_id,movie,movie_id,date,timestamp")
    assert roles == ColumnRoles("user_id", "movie_id", "timestamp", None, None)


def test_no_spelling_has_two_roles() -> None:
    groups = [group for pair in SPELLINGS.values() for group in pair]
    spellings = [spelling for group in groups for spelling in group.split()]
    assert len(spellings) == len(set(spellings))
    assert all(is_usual(spelling) for spelling in spellings)
    assert not is_usual("17")


def test_options_take_precedence_over_guesses() -> None:
    roles = guess(
        "user_id,item_id,who,what,when,score,how",
        user_column="who",
        item_column="what",
        time_column="when",
        rating_column="score",
        event_column="how",
    )
    assert roles == ColumnRoles("who", "what", "when", "score", "how")


def test_an_option_may_differ_in_case() -> None:
    assert guess("WHO,item_id", user_column="who").user == "WHO"


def test_an_option_with_an_unknown_column_suggests_the_nearest() -> None:
    with pytest.raises(
        SourceError, match=r"^--user-column names the column 'usr_id', which log\.csv does not"
    ) as error:
        guess("user_id,item_id", user_column="usr_id")
    assert error.value.hint == "did you mean 'user_id'?"


@pytest.mark.parametrize(
    ("header", "role"), [("buyer,item_id", "user"), ("user_id,thing", "item"), ("a,b", "user")]
)
def test_a_missing_column_is_refused_with_the_existing_ones(header: str, role: str) -> None:
    with pytest.raises(SourceError) as error:
        guess(header)
    article = "an" if role == "item" else "a"
    expected = f"no column of log.csv has a usual name for {article} {role} id, got "
    assert error.value.message == expected + header.replace(",", ", ")
    assert error.value.hint == f"name the column with --{role}-column"


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("user_id,session_id,item_id", "user"),
        ("user_id,item_id,product_id", "item"),
        ("user_id,item_id,timestamp,event_time", "time"),
        ("user_id,item_id,rating,stars", "rating"),
    ],
)
def test_an_ambiguous_column_is_refused(header: str, role: str) -> None:
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
    with pytest.raises(SourceError, match="is used both as {} and as {}".format(*roles)) as error:
        guess("user_id,item_id,timestamp,id", **options)
    assert error.value.hint == "choose another column with --{}-column or --{}-column".format(
        *roles
    )


@pytest.mark.parametrize("header", ["who,what,2nd", "a,b", "x1,y2,"])
def test_names_that_are_not_values_are_a_header(header: str) -> None:
    with pytest.raises(SourceError) as error:
        guess(header)
    assert error.value.hint == "name the column with --user-column"


def test_numbers_can_name_columns() -> None:
    assert guess("0,1", user_column="0", item_column="1") == ColumnRoles("0", "1", None, None, None)


def test_the_event_column_is_used_only_with_event_types() -> None:
    assert guess("user_id,item_id,event").event is None
    assert guess("user_id,item_id,event", event_type=("view",)).event == "event"
    with pytest.raises(
        SourceError, match="usual name for an event type, got user_id, item_id"
    ) as error:
        guess("user_id,item_id", event_type=("view",))
    assert error.value.hint == "name the column with --event-column"


@pytest.mark.parametrize(
    ("column", "users"),
    [("user_id", True), ("visitorid", True), ("sessionId", False), ("playlist_id", False)],
)
def test_sessions_and_playlists_are_not_users(column: str, users: bool) -> None:
    assert guess(f"{column},item_id").sequences_are_users is users
