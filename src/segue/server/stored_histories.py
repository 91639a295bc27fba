"""The key ``user`` of requests: the events of the store join the history that the run has.

The history is that of the run, then the stored events that are later than the last event of the
dataset that the run's histories come from, then the items of the request. Of a user that the run
has no history of, all stored events count. Items that the user rejected are excluded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from segue.errors import DatasetError, RequestError
from segue.event_store.event import stored_id
from segue.event_store.weights import history_of
from segue.features import USER
from segue.recommender import Recommender
from segue.server.errors import api_error
from segue.server.registry import ServedModel
from segue.server.user_events import EventsOfUser, UserEvents

Arguments = Mapping[str, Any]


async def with_stored_histories(
    events: UserEvents, model: ServedModel, requests: Sequence[Arguments], *, is_one: bool
) -> list[Arguments]:
    """The requests with the events of their users.

    Args:
        is_one: whether messages need not say which request is wrong.

    Raises:
        ApiError: neither the run nor the store knows a user.
        EventStoreUnavailableError: the database does not answer.
        QueueFullError: too many calls are waiting.
    """
    users = [_user_of(arguments) for arguments in requests]
    distinct = list(dict.fromkeys(user for user in users if user is not None))
    if not distinct:
        return list(requests)
    stored = dict(zip(distinct, await events.of_users(distinct), strict=True))

    def join_all() -> list[Arguments]:
        joined: list[Arguments] = []
        for number, (arguments, user) in enumerate(zip(requests, users, strict=True)):
            try:
                joined.append(
                    arguments
                    if user is None
                    else join_history(
                        model.recommender, arguments, user, stored[user], events.weights
                    )
                )
            except RequestError as error:
                wrong = api_error(error)
                raise (wrong if is_one else wrong.within(f"requests[{number}]")) from None
        return joined

    # In a thread, because a run without histories of its own opens its training dataset.
    return await asyncio.to_thread(join_all)


def _user_of(arguments: Arguments) -> str | None:
    """The user of a request; None without one, or for one that no event can have."""
    user = arguments.get("user")
    try:
        return None if user is None else stored_id(user, "user")
    except ValueError:
        return None


def join_history(
    model: Recommender,
    arguments: Arguments,
    user: str,
    stored: EventsOfUser,
    weights: Mapping[str, float],
) -> Arguments:
    """A request with the stored events of its user.

    Args:
        model: the model that answers.
        arguments: the keys of the request.
        user: its user.
        stored: what is stored of the user.
        weights: of each kind of event.

    Raises:
        RequestError: neither the run nor the store knows the user.
    """
    try:
        of_run = model.histories.find(user)
        end_us = model.histories.end_us if of_run is not None else None
    except DatasetError:  # the run has no histories, and its dataset is not here
        of_run = end_us = None
    vocabulary = model.ensemble.vocabulary
    has_embedding = USER in vocabulary.values and not vocabulary.is_unknown(USER, user)
    if not stored.latest and of_run is None and not has_embedding:
        raise RequestError(
            f"user {user!r} has no stored events, and the run {model.name} does not know it",
            "send its events to POST /v1/events first, or give the history in items",
        )
    history = history_of(stored.latest, weights)
    new = [event.item_id for event in history if end_us is None or event.time_us > end_us]
    joined = {**arguments, "items": [*new, *arguments["items"]]}
    if "exclude" in arguments and stored.rejected:
        joined["exclude"] = [*(arguments["exclude"] or ()), *stored.rejected]
    if of_run is None:
        joined["user"] = None
        if has_embedding:
            joined["sequence_features"] = {USER: user, **(arguments["sequence_features"] or {})}
    return joined
