"""What a report shows: gathered in ``findings``, drawn in ``charts``, laid out in ``page`` by templates."""
