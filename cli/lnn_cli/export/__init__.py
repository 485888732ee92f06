"""Models and histories in other people's formats: one module a format, each importing its library when used."""
