"""API security: keys, origins and host names of browsers, guards of routes."""
