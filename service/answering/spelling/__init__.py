"""Misspelt words of a question, repaired by what the notes say."""
