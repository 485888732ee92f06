"""What goes wrong with the local cloud."""


class LocalCloudError(Exception):
    """One sentence that says what is wrong and how to mend it."""


class LostAnswerError(LocalCloudError):
    """Terraform made something, was not told so, and now takes it for another's."""
