"""The generated parts of the documentation, the hooks of its site, and the pages of the notebooks."""
