"""The host of a test: limits of memory and CPU, emulated processors, missing packages."""
