"""The way of one question: understand, retrieve, read, write, check. No HTTP in here; eval uses it too."""
