"""One line an event: for people on a terminal, key=value where a program collects them."""

from __future__ import annotations

import logging
import sys


def configure_logging(level: str) -> None:
    """Log to standard error; uvicorn's own chatter only from warnings on."""
    people = sys.stderr.isatty()
    style = "%(message)s" if people else "time=%(asctime)s level=%(levelname)s logger=%(name)s message=%(message)s"
    logging.basicConfig(level=level.upper(), format=style, stream=sys.stderr, force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
