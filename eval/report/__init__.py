"""Results for people: one self-contained HTML page, the same as Markdown, and everything as JSON."""
