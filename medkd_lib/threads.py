"""One thread per process: small networks and phantoms run many times faster so on busy cores."""

import os

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def one_thread() -> None:
    """Ask the numerical libraries for one thread, unless the user has asked for something else.

    Works only before numpy and torch are imported; child processes inherit it.
    """
    for name in VARIABLES:
        os.environ.setdefault(name, "1")
