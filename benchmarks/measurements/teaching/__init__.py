"""Teaching an appliance: time, memory and accuracy."""
