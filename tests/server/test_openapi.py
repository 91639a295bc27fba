"""The OpenAPI document: examples that work, errors that are documented, nothing of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from app_client import AppClient

from segue.server.examples import examples_of

pytestmark = pytest.mark.all_cases

EXAMPLES = [example for example in examples_of(["i1", "i2"]) if example.role == "user"]


@pytest.fixture(scope="module")
def document(client: AppClient) -> dict[str, Any]:
    return client.get("/openapi.json").json()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_work(client: AppClient, example: Any) -> None:
    response = client.request(example.method, example.path, json=example.body)
    assert response.status_code == 200, response.text
    answers = response.json().get("answers", [response.json()])
    assert all(not answer.get("unknown_items") for answer in answers)


def test_the_document_has_the_examples_with_items_of_the_model(
    document: dict[str, Any], client: AppClient
) -> None:
    bodies = document["paths"]["/v1/recommend"]["post"]["requestBody"]["content"]
    examples = bodies["application/json"]["examples"]
    assert examples.keys() >= {"recommend", "recommend for many"}
    for example in examples.values():
        assert client.post("/v1/recommend", example["value"]).status_code == 200


def test_every_route_documents_its_errors_in_one_shape(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            assert {"405", "421", "500"} <= responses.keys()
            if path.startswith("/v1"):
                assert {"401", "429"} <= responses.keys()
            for status, response in responses.items():
                if status >= "400":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorShape"}


def test_nothing_of_the_machine_is_shown(client: AppClient, cycle_run: Path) -> None:
    for path in ("/openapi.json", "/v1/model", "/v1/models", "/metrics"):
        assert str(cycle_run.parent) not in client.get(path).text
