"""Is this container ready to answer? Exit code 0 for yes; one line says why not."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> None:
    """Ask the process in this container; without curl, which the image does not carry."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
    try:
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
    except OSError as error:
        sys.exit(f"not ready: {error}")
    if status != 200:
        sys.exit(f"not ready: /health/ready answers {status}")


if __name__ == "__main__":
    main()
