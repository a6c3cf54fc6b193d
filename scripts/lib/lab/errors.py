"""Exit codes of the lab's own, and the exception that carries a message for the user."""

EXIT_TIMEOUT = 124
EXIT_LAB_FAILED = 125


class LabError(Exception):
    """The lab could not do its work. The text is for the user; `log` holds the machine's last console lines."""

    def __init__(self, message: str, log: str = ""):
        super().__init__(message)
        self.log = log


class StateError(LabError):
    """The lab did not come back from its saved state. Nothing was run: booting instead is safe."""
