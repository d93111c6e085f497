"""Publication of taught models: their bundles become versions that serve, their photos go to the data store."""
