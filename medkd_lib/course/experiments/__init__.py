"""The trainings of each lesson, defined once: the notebook runs a few, the recorder all of them."""
