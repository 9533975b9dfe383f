"""Fine-tuning of the encoder on the owners' own texts: pairs, training, and whether it helped."""
