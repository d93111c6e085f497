"""Robustness: what hostile clients do to the appliance, and to the honest ones beside them."""
