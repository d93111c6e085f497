"""The browser app: a NiceGUI front end, and the one process that serves it together with the API."""
