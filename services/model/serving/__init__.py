"""Between the wire and the engines: requests to prompts and masks, samples to responses. Imported by routes."""
