"""What a request says and holds: its client, the media types it accepts, forms, uploads, state of the connection."""
