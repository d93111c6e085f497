"""The context of one open page: the visitor's session, language and chosen appliance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nicegui import Client
from nicegui.element import Element

from runtime.api.security.local_operator import is_local_operator
from runtime.image import MEDIA_TYPES
from runtime.names import UNKNOWN
from runtime.serving.settings import Settings
from ui.appliance.client import Api, Refused, Unreachable
from ui.appliance.history import ScrapeHistory
from ui.appliance.targets import Targets
from ui.server.paths import RELAY
from ui.server.sessions import Session, Sessions, Visitor
from ui.view.language import Texts
from ui.view.product import Product

DESCRIBE_S = 1.0  # how long a page waits for the product that it shows
_SUFFIXES: Mapping[str, str] = {"image/heic": ".heic,.heif", "image/avif": ".avif"}  # that not every system knows


def file_types(media_types: Iterable[str]) -> str:
    """The `accept` attribute of a file picker."""
    types = list(media_types)
    return ",".join([*types, *(_SUFFIXES[kind] for kind in types if kind in _SUFFIXES)])


ACCEPTED_TYPES = file_types(MEDIA_TYPES)  # until the appliance has said what it decodes


def accepted(health: Mapping[str, Any]) -> str:
    """The `accept` attribute for what an appliance decodes, by its `GET /health`; one of an older release says less."""
    return file_types(health.get("limits", {}).get("media_types", MEDIA_TYPES))


class PageContext:
    """Passed to every page."""

    def __init__(
        self,
        targets: Targets,
        sessions: Sessions,
        visitor: Visitor,
        language: str,
        *,
        mlflow: str | None,
        prefix: str,
        phone: str | None,
        settings: Settings,
        client: Client,
    ) -> None:
        """`mlflow` is where a browser finds the runs of the models, `prefix` stands before the page's own paths.

        `phone` is the address at which a phone finds the page, if it does.
        """
        self.phone = phone
        self.prefix = prefix
        self.targets = targets
        self.mlflow = mlflow
        self.product = Product()
        self.is_described = False  # whether the appliance has answered, were it by a refusal
        self.text = Texts(language)
        self._sessions = sessions
        self._visitor = visitor
        self._settings = settings
        self._client = client

    @property
    def session(self) -> Session:
        """What the visitor has chosen."""
        return self._sessions.of(self._visitor.name)

    @property
    def history(self) -> ScrapeHistory:
        """The chosen appliance over time."""
        return self.targets.history(self.session.target)

    def speak(self, language: str) -> None:
        """Switch the language."""
        self.text = Texts(language, self.product.names(language))

    async def describe(self, *, anew: bool = False) -> bool:
        """Ask the appliance what it serves; returns whether that is another product than before.

        Nothing changes while it does not answer, unless it is asked `anew`, because it is another one; a visitor
        without the key that it asks for sees no product.
        """
        if anew:
            self.product = Product()
            self.speak(self.text.language)
        try:
            found = Product.of(await self._model())
        except Refused:
            found = Product()
        except (Unreachable, TimeoutError, KeyError, TypeError, ValueError, AttributeError):
            self.is_described = False
            return False
        self.is_described = True
        changed, self.product = found != self.product, found
        self.speak(self.text.language)
        return changed

    async def _model(self) -> dict[str, Any]:
        """What `GET /model` answers. Raises TimeoutError after DESCRIBE_S; a model that is being loaded goes on."""
        asked = asyncio.ensure_future(self._ask())
        done, _ = await asyncio.wait([asked], timeout=DESCRIBE_S)
        if not done:
            asked.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise TimeoutError
        return asked.result()

    async def _ask(self) -> dict[str, Any]:
        return await (await self.api()).model()

    def choose(self, session: Session) -> None:
        """Keep what the visitor has chosen."""
        self._sessions.choose(self._visitor, session)

    async def api(self) -> Api:
        """The chosen appliance, asked with the visitor's key and for the visitor's address. Raises Unreachable."""
        session = self.session
        api = await self.targets.api(session.target)
        return api.for_visitor(self._visitor.address, session.key, local_operator=self._is_local_operator)

    def remember_operator(self) -> None:
        """Keep in the session that the visitor is the operator at this machine: a browser's GET does not show it."""
        origin = self._operator_origin if self._is_local_operator else ""
        if origin != self.session.operator_origin:
            self.choose(replace(self.session, operator_origin=origin))

    @property
    def _operator_origin(self) -> str:
        scope = (self._client.environ or {}).get("asgi.scope", {"headers": []})
        return next((str(value, "latin-1") for name, value in scope["headers"] if name == b"origin"), "")

    @property
    def _is_local_operator(self) -> bool:
        """By the handshake of the page's channel, which the browser itself has sent; not before it is connected."""
        scope = (self._client.environ or {}).get("asgi.scope")
        return scope is not None and is_local_operator(scope, self._settings)

    def names(self, labels: Iterable[str] = ()) -> dict[str, str]:
        """The labels of the product, or others, and UNKNOWN, as the visitor reads them."""
        return {label: self.text.label(label) for label in (*(labels or self.product.labels), UNKNOWN)}

    @property
    def picture(self) -> str:
        """Where the page finds the picture of the product; empty if it has none."""
        return f"{self.prefix}{RELAY}/model/picture?{self.product.picture}" if self.product.picture else ""


def part(element: type[Element], **props: Any) -> Element:
    """A component with its props."""
    made = element()
    made.props.update(props)
    return made
