"""What goes wrong with a deployment."""


class DeploymentError(Exception):
    """One sentence that says what is wrong and how to mend it."""
