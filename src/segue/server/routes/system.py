"""``GET /v1/system``."""

from __future__ import annotations

import platform

import jax
from fastapi import APIRouter, Request, Response

import segue
from segue.server.routes import KEY_ERRORS
from segue.server.routes.served import json_response
from segue.server.view_schemas import SystemShape

router = APIRouter(tags=["views"])


@router.get("/v1/system", responses={200: {"model": SystemShape}, **KEY_ERRORS})
async def get_system(request: Request) -> Response:
    """Requests, latencies and batch sizes of the last ten minutes, versions and models."""
    service = request.app.state.service
    recent = service.metrics.recent
    return json_response(
        {
            "versions": {
                "segue": segue.__version__,
                "python": platform.python_version(),
                "jax": jax.__version__,
                "device": jax.default_backend(),
            },
            "uptime_s": round(recent.uptime_s, 1),
            "models": [
                {
                    "name": model.name,
                    "version": model.version,
                    "loaded_at": model.loaded_at,
                    "n_items": len(model.recommender.item_ids),
                    "n_waiting": service.n_waiting(model.name),
                }
                for model in service.registry.models
            ],
            "recent": recent.summary(),
        }
    )
