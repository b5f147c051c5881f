"""What happens around training: checkpoints, the epoch's figures, and pictures for TensorBoard."""
