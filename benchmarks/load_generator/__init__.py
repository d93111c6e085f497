"""HTTP load generator, open-loop and closed-loop, in a process of its own."""
