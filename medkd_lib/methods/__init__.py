"""One paper per file: which network sees what, in one readable ``update(batch)``."""
