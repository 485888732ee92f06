"""What the commands show: tables, progress, charts, help, and errors in one line."""
