"""The context of one open page: the visitor's session, language and chosen appliance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui.element import Element

from runtime.image import MEDIA_TYPES
from ui.appliance.client import Api
from ui.appliance.history import ScrapeHistory
from ui.appliance.targets import Targets
from ui.server.sessions import Session, Sessions, Visitor
from ui.view.language import Texts

ACCEPTED_TYPES = ",".join(MEDIA_TYPES)  # for the `accept` attribute of a file picker: what the API decodes


class PageContext:
    """Passed to every page."""

    def __init__(
        self, targets: Targets, sessions: Sessions, visitor: Visitor, language: str, mlflow: str | None, prefix: str
    ) -> None:
        """`mlflow` is where a browser finds the runs of the models, `prefix` stands before the page's own paths."""
        self.prefix = prefix
        self.targets = targets
        self.mlflow = mlflow
        self.text = Texts(language)
        self._sessions = sessions
        self._visitor = visitor

    @property
    def session(self) -> Session:
        """What the visitor has chosen."""
        return self._sessions.of(self._visitor.name)

    @property
    def history(self) -> ScrapeHistory:
        """The chosen appliance over time."""
        return self.targets.history(self.session.target)

    def choose(self, session: Session) -> None:
        """Keep what the visitor has chosen."""
        self._sessions.choose(self._visitor, session)

    async def api(self) -> Api:
        """The chosen appliance, asked with the visitor's key and for the visitor's address. Raises Unreachable."""
        session = self.session
        return (await self.targets.api(session.target)).for_visitor(self._visitor.address, session.key)

    def names(self, labels: Mapping[str, Any] | list[str]) -> dict[str, str]:
        """The labels of a model in the visitor's language."""
        return {label: self.text.label(label) for label in labels}


def part(element: type[Element], **props: Any) -> Element:
    """A component with its props."""
    made = element()
    made.props.update(props)
    return made
