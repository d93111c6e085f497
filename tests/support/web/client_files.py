"""Files that clients of HTTP and S3 read, once for a process instead of once for a client."""

from __future__ import annotations

from functools import cache

import botocore.session


def share_certificates() -> None:
    """Give all of httpx one SSL context: for each request a new one takes 40 ms of CPU, even if it is plain HTTP."""
    import httpx  # here, for the fork server needs none

    context = httpx.create_ssl_context()
    verbs = (httpx.delete, httpx.get, httpx.head, httpx.options, httpx.patch, httpx.post, httpx.put)
    for function in (*verbs, httpx.request, httpx.Client.__init__, httpx.AsyncClient.__init__):
        function.__kwdefaults__["verify"] = context
    for transport in (httpx.HTTPTransport, httpx.AsyncHTTPTransport):  # `verify` is the first of its arguments
        transport.__init__.__defaults__ = (context, *transport.__init__.__defaults__[1:])


def share_service_models() -> None:
    """Give all sessions of botocore one loader: each reads megabytes of JSON, which takes 0.2 s of CPU for a client."""
    botocore.session.create_loader = cache(botocore.session.create_loader)
    first, second = (botocore.session.Session().get_component("data_loader") for _ in range(2))
    assert first is second, "this release of botocore makes its loaders elsewhere"
