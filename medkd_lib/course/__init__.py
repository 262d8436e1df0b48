"""Parameters, notebook factory, runner, recorder, grading and report."""
