"""What ``segue serve`` prints at its start: the address, the models, who may call, and a call."""

from __future__ import annotations

from collections.abc import Sequence

import segue
from segue.errors import quantity
from segue.server.examples import examples_of
from segue.server.registry import ServedModel
from segue.server.snippets import KEY, URL, curl


def greeting(
    url: str, models: Sequence[ServedModel], *, n_keys: int, stores_events: bool, is_local: bool
) -> str:
    """Some lines for the person who started a server.

    Args:
        url: the address that it listens on.
        models: its models, the default first.
        n_keys: number of API keys.
        stores_events: whether it stores events of users.
        is_local: whether only this machine reaches it.
    """
    reach = "this machine only" if is_local else "other machines reach it; put TLS in front of it"
    keys = f"{quantity(n_keys, 'API key')} accepted" if n_keys else "no API key is required"
    width = max(len(model.name) for model in models)
    lines = [f"Segue {segue.__version__} at {url} ({reach}; {keys})"]
    for number, model in enumerate(models):
        role = " (default)" if number == 0 and len(models) > 1 else ""
        n_items = quantity(len(model.recommender.item_ids), "item")
        lines.append(f"  {model.name:{width}}  {n_items}{role}")
    events = "are stored" if stores_events else "are not stored; --events FILE stores them"
    lines += [
        f"events of users {events}",
        f"open {_callable(url)} in a browser to try it by hand",
        "it answers once its models are compiled, which takes a minute or more the first time",
    ]
    ids = models[0].recommender.item_ids[:2]
    if len(ids) == 2:
        lines += ["try it:", f"  {_call(_callable(url), ids, has_keys=n_keys > 0)}"]
    return "\n".join([*lines, "Ctrl-C stops it"])


def _call(url: str, ids: list[str], *, has_keys: bool) -> str:
    """The first example as one line for a shell."""
    command = curl(examples_of(ids)[0]).replace(URL, url).replace(" \\\n  ", " ")
    return f'{command} -H "Authorization: Bearer {KEY}"' if has_keys else command


def _callable(url: str) -> str:
    """The address to call: those for all interfaces of a machine are none."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
