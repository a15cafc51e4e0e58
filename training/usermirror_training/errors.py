"""What a user can mend."""


class TrainingError(Exception):
    """A wrong input or setting. The text says what is wrong and what to do."""
