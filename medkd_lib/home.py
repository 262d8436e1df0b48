"""Where medkd keeps what it makes: phantoms, cached tensors, trained models, interactive runs."""

import os
from pathlib import Path

from platformdirs import user_cache_dir


def medkd_home() -> Path:
    """Return the folder named by ``MEDKD_HOME``, else the user's cache folder for medkd."""
    named = os.environ.get("MEDKD_HOME")
    return Path(named).expanduser().absolute() if named else Path(user_cache_dir("medkd"))
