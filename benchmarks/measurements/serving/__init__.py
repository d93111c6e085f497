"""The appliance as a server: load, requests, reloads, footprint, the page, clients."""
