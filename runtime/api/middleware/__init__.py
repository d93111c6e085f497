"""ASGI middleware around the routes: request ID, headers, limits of the body, HEAD, path prefix, metrics."""
