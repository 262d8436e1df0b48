"""Manifest → cases → splits → arrays → loaders."""
