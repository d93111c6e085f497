"""What is measured against what: servers, sessions, environments, photos."""
