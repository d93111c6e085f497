"""Release: publication to the store, promotion, and registration in MLflow."""
