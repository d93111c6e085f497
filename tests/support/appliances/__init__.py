"""Appliances under test, started as operators start them."""
