"""The paths of the page. None may be one of the API's."""

from __future__ import annotations

CLASSIFY = "/"
LIVE = "/live"
TEACH = "/teaching"
MONITOR = "/monitor"
VERSIONS = "/versions"
BENCHMARK = "/benchmark"

# What a page is called elsewhere: in the navigation, and in the API, which has a path of the same name for programs.
ALIASES = {"/models": VERSIONS, "/classify": CLASSIFY, "/teach": TEACH}
PAGES = (CLASSIFY, LIVE, TEACH, MONITOR, VERSIONS, BENCHMARK)
RELAY = "/ui/api"
STATIC = "/ui/static"
KNOWN = "/ui/known"  # whether a page is still kept here
SOCKET = "/_nicegui_ws/"  # the message channel of an open page
ASSETS = ("/ui/", "/_nicegui", "/favicon.ico")
