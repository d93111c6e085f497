"""The machine that is measured: description, interference, processes, browser."""
