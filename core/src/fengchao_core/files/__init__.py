"""Files that callers upload: what they are, where they lie, what can be read in them."""
