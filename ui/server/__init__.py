"""The ASGI server of the browser app: dispatcher, reverse proxy, sessions."""
