"""The question pipeline, the FastAPI app, the command line, the web page."""
