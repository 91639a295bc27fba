"""The REST API over ``Recommender``: FastAPI, micro-batching, API keys, hot reload.

The path of a request: ``middleware`` (record, access, body) -> ``routes`` -> ``Service.answer``
-> ``MicroBatcher`` -> ``computations.compute`` in the worker thread -> JSON. ``app.create_app``
puts them together, ``serving.serve`` runs them. The extra ``serve`` installs what it needs.
"""
