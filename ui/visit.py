"""One open page: who looks, in which language, at which appliance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui.element import Element

from ui.api import Api
from ui.language import Texts
from ui.sessions import Session, Sessions
from ui.targets import Targets
from ui.watch import Watch


class Visit:
    """What every page is given."""

    def __init__(
        self, targets: Targets, sessions: Sessions, name: str | None, language: str, mlflow: str | None
    ) -> None:
        """`name` is that of the visitor's session, `mlflow` where a browser finds the runs of the models."""
        self.targets = targets
        self.mlflow = mlflow
        self.text = Texts(language)
        self._sessions = sessions
        self._name = name

    @property
    def session(self) -> Session:
        """What the visitor has chosen."""
        return self._sessions.of(self._name)

    @property
    def watch(self) -> Watch:
        """The chosen appliance over time."""
        return self.targets.watch(self.session.target)

    async def api(self) -> Api:
        """The chosen appliance. Raises Away."""
        return await self.targets.api(self.session.target)

    def names(self, labels: Mapping[str, Any] | list[str]) -> dict[str, str]:
        """The labels of a model in the visitor's language."""
        return {label: self.text.label(label) for label in labels}


def part(element: type[Element], **props: Any) -> Element:
    """A component with its props."""
    made = element()
    made.props.update(props)
    return made
