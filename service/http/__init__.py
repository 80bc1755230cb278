"""The FastAPI app: HTTP in, question pipeline and jobs behind it."""
