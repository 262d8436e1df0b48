"""Metrics, intervals, paired tests and the claim ledger."""
