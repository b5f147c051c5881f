"""What a careful reviewer asks of a trained network: predictions → evaluation → the report's content and files."""
