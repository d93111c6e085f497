"""One line an event: for people on a terminal, key=value or JSON where a program collects them."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Literal

import msgspec

Format = Literal["auto", "text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_PEOPLE = "%(message)s"
_PROGRAMS = "time=%(asctime)s level=%(levelname)s logger=%(name)s request=%(request)s message=%(message)s"


def configure_logging(level: str, format_: Format = "auto") -> None:
    """Log to standard error; `auto` writes bare messages to a terminal and key=value elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_request)
    bare = format_ == "auto" and sys.stderr.isatty()
    handler.setFormatter(_Json() if format_ == "json" else logging.Formatter(_PEOPLE if bare else _PROGRAMS))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for chatty in ("boto3", "botocore", "s3transfer", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _add_request(record: logging.LogRecord) -> bool:
    record.request = request_id.get()
    return True


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
