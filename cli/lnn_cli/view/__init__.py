"""The page of ``lnn view``, and the server on this machine that answers it."""
