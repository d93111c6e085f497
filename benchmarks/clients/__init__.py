"""Real HTTP clients and proxies, each run against the appliance."""
