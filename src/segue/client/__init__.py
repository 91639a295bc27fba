"""``Client``: the methods of ``Recommender`` over HTTP. Imports neither JAX nor the server."""

from segue.client.client import Client
from segue.client.responses import StoredEvents

__all__ = ["Client", "StoredEvents"]
