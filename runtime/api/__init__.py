"""HTTP API of the appliance: Litestar routes, middleware, OpenAPI document."""
