"""The pages of the browser app, one module each."""
