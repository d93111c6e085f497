"""The inbox behind the API: photos kept in the background, corrections in the data store, and what becomes of them."""
