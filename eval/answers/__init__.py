"""How good answers are: measured without a model, by a judge on request, and on the RGB benchmark."""
