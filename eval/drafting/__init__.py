"""Drafting gold questions over the notes with the language model, checked by program, for a person to edit."""
