"""Fine-tuning the encoder on one's own notes, and keeping the result only where it is shown to search better."""
