"""Teaching behind the API: what needs both the appliance that serves and the workspace that people teach from."""
