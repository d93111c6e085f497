"""Routes of the HTTP API: predict, explain, models, feedback, health."""
