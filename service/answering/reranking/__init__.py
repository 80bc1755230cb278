"""Models that read a question with a passage, and what their scores mean."""
