"""What speaks HTTP around the appliance: clients, proxies, certificates, other servers."""
