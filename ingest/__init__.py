"""Notes on disk -> chunks -> a new index snapshot."""
