"""Commands that measure the appliance as a server."""
