"""The errors a user can meet. Each says what happened and what to do next.

FacemotionError
├── UsageError            wrong words on the command line or wrong arguments to the API
├── InputError            a photo, video or data set that cannot be used
│   ├── MissingFileError  what was named is not there (wrong usage)
│   ├── ImageError        unreadable, truncated, too large, not an image
│   └── NoFaceError       no face, or not the face that was asked for
├── OutputError           unwritable, disk full
│   ├── OutputExistsError what is there would be lost (wrong usage)
│   └── OutputNameError   unsupported suffix, impossible name (wrong usage)
├── WeightsError          missing, damaged, foreign or not to be had offline
└── TrainingError         training cannot start or has diverged
"""


class FacemotionError(Exception):
    """Base of everything that is reported as one line instead of a traceback.

    ``message`` says what happened, ``hint`` what to do next; ``exit_code`` is that of the command line.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FacemotionError, ValueError):
    """The request itself makes no sense; nothing was done."""

    exit_code = 2


class InputError(FacemotionError):
    """What was given cannot be used."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that was named is not there."""

    exit_code = 2

    def __str__(self) -> str:
        return self.message


class ImageError(InputError, ValueError):
    """A file that is no readable image."""


class NoFaceError(InputError, LookupError):
    """No face in the photo, or not the one that was asked for."""


class OutputError(FacemotionError, OSError):
    """The result cannot be written where it was asked for."""

    def __str__(self) -> str:
        return self.message


class OutputExistsError(OutputError, FileExistsError):
    """Writing the result would destroy what is there already."""

    exit_code = 2


class OutputNameError(OutputError, ValueError):
    """The name that was asked for cannot be written: an unsupported suffix, the photo itself, too long."""

    exit_code = 2


class WeightsError(FacemotionError):
    """A weight file is missing, damaged, foreign or out of reach."""


class TrainingError(FacemotionError):
    """Training cannot start, cannot resume, or has diverged."""
