"""One measurement a module, each with its table; folders have the names of what is measured, as runtime has them."""
