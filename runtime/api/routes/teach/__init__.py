"""Routes of /teach: datasets, classes, photos, and teaching; for administrators."""

from __future__ import annotations

from litestar import Router

from runtime.api.routes.teach import classes, datasets, learning, photos
from runtime.api.routes.teach.refusals import refuse
from runtime.api.security.guards import may_administer
from runtime.errors import Refusal

router = Router(
    "/teach",
    route_handlers=[*datasets.HANDLERS, *classes.HANDLERS, *photos.HANDLERS, *learning.HANDLERS],
    guards=[may_administer],
    exception_handlers={Refusal: refuse},
    tags=["Teach"],
)
