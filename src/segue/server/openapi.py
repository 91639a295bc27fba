"""The OpenAPI document: what FastAPI derives, with API keys and examples that really work."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from segue.server.examples import Example, examples_of
from segue.server.middleware.access import OPEN_PATHS
from segue.server.registry import ModelRegistry

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of the server."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(app: FastAPI, registry: ModelRegistry) -> None:
    """Make the application serve its document, with ids of the default model as examples."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            content = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            model = registry.find()
            ids = model.recommender.item_ids[:5]
            for example in examples_of(ids):
                _add(content, example)
            _add_keys(content)
            app.openapi_schema = content
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] - FastAPI's way to change the document


def _add(content: dict[str, Any], example: Example) -> None:
    operation = content["paths"][example.route][example.method.lower()]
    if example.body is None:
        for parameter in operation.get("parameters", []):
            if parameter["name"] in example.parameters:
                parameter["example"] = example.parameters[parameter["name"]]
        return
    body = operation["requestBody"]["content"]["application/json"]
    body.setdefault("examples", {})[example.name] = {
        "summary": example.summary,
        "value": example.body,
    }


def _add_keys(content: dict[str, Any]) -> None:
    content["components"]["securitySchemes"] = _SCHEMES
    for path, operations in content["paths"].items():
        for operation in operations.values():
            if path not in OPEN_PATHS:
                operation["security"] = [{}, {"bearer": []}, {"header": []}]
