"""The folder of models of this user: what texserver serves when it is given no other."""

from pathlib import Path

from platformdirs import user_data_path


def models_folder() -> Path:
    """On Linux `~/.local/share/texserver/models`, on macOS and Windows where programs keep such data. May not exist."""
    return user_data_path("texserver", appauthor=False) / "models"
