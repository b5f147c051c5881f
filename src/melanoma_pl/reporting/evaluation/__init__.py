"""What a network is worth: tables, figures, a page, a model card."""
