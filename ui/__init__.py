"""The browser app: a NiceGUI front end beside the API, or in front of a remote one."""
