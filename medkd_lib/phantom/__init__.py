"""Patient → scanner → files on disk: the synthetic twin of a manifest."""
