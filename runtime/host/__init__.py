"""The host: CPU and memory limits, heap trimming, atomic renames, deadlines, sockets, structured logs."""
