"""Figures and widgets; every widget has a static twin drawn by the same function."""
