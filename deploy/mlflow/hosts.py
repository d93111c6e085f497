"""Which names does MLflow answer to? `python hosts.py` prints MLFLOW_SERVER_ALLOWED_HOSTS.

Those of this stack, and, where BIND_ADMIN lets others in, this machine's: DANDELION_HOSTS has its names. Of addresses
MLflow takes any where all of them are listened on: a page of another site can take this server's address for its own
name (DNS rebinding), but cannot be asked for by an address.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import product

PORT = 5000
STACK = ("mlflow", "localhost", "127.0.0.1")


def hosts(environment: Mapping[str, str]) -> list[str]:
    """What MLFLOW_SERVER_ALLOWED_HOSTS takes: `Host` headers, as patterns of `fnmatch` where they have a `*`."""
    bound = environment.get("BIND_ADMIN") or "127.0.0.1"
    try:
        address = ipaddress.ip_address(bound.strip("[]"))
    except ValueError:
        sys.exit(f"BIND_ADMIN={bound}: is no address; 127.0.0.1 is this machine alone, 0.0.0.0 everybody")
    names = list(STACK)
    if not address.is_loopback:
        names += [name.strip() for name in environment.get("DANDELION_HOSTS", "").split(",")]
    patterns = list(_any_address()) if address.is_unspecified else []
    if not address.is_unspecified:
        names.append(f"[{address}]" if address.version == 6 else str(address))
    return [f"{name}:{PORT}" for name in dict.fromkeys(names) if name] + patterns


def _any_address() -> Iterator[str]:
    """Patterns that addresses fit and names do not: `*` stands in the port, or in brackets, where no name can be."""
    for digits in product(("[0-9]", "[0-9][0-9]", "[0-9][0-9][0-9]"), repeat=4):
        yield f"{'.'.join(digits)}:*"
    yield "[[]*]:*"


if __name__ == "__main__":
    print(",".join(hosts(os.environ)))
