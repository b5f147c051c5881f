"""What a result looks like: tables and files."""
