"""One loss per file: tensors in, scalar out."""
