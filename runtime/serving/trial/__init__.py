"""Model validation before hot reload: a trial in a sandboxed child process, which may crash without harm."""
