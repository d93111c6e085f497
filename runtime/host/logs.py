"""Structured logging: one line an event, plain on a terminal, key=value or JSON for log collectors."""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from typing import Literal

import msgspec

from runtime.host.deadline import GivenUp

Format = Literal["auto", "text", "json"]

log = logging.getLogger(__name__)
request_id: ContextVar[str] = ContextVar("request_id", default="-")

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_PEOPLE = "%(message)s"
_PROGRAMS = "time=%(asctime)s level=%(levelname)s logger=%(name)s request=%(request)s message=%(message)s"


def configure_logging(level: str, format_: Format = "auto") -> None:
    """Log to standard error; `auto` writes bare messages to a terminal and key=value elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_request)
    bare = format_ == "auto" and sys.stderr.isatty()
    handler.setFormatter(_Json() if format_ == "json" else _OneLine(_PEOPLE if bare else _PROGRAMS))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    sys.unraisablehook = _log_ignored
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for chatty in ("boto3", "botocore", "s3transfer", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _log_ignored(ignored: sys.UnraisableHookArgs) -> None:
    """What Python drops, since it was raised in a callback, in one line; of a call that was given up it is no news."""
    level = logging.DEBUG if isinstance(ignored.exc_value, GivenUp) else logging.WARNING
    log.log(level, "%r was raised in %r, and ignored", ignored.exc_value, ignored.object)


def _add_request(record: logging.LogRecord) -> bool:
    record.request = request_id.get()
    return True


class _OneLine(logging.Formatter):
    """Text whose message stays in its line, whatever a client or a store has put into it; a stack has lines below."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        return super().formatMessage(record)


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "request": getattr(record, "request", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields).decode()
