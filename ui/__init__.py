"""The browser app (NiceGUI): in one process with the API, or in front of a remote appliance."""
