"""Routes of /teach: datasets, classes, photos, teaching, and the inbox; for administrators."""

from __future__ import annotations

from litestar import Router

from runtime.api.routes.teach import classes, datasets, inbox, learning, photos
from runtime.api.routes.teach.options_method import options_of
from runtime.api.routes.teach.refusals import refuse
from runtime.api.security.guards import may_administer
from runtime.errors import Refusal

_HANDLERS = [*datasets.HANDLERS, *classes.HANDLERS, *photos.HANDLERS, *learning.HANDLERS, *inbox.HANDLERS]

router = Router(
    "/teach",
    route_handlers=[*options_of(_HANDLERS), *_HANDLERS],
    guards=[may_administer],
    exception_handlers={Refusal: refuse},
    tags=["Teach"],
)
