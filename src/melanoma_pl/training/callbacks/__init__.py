"""Lightning callbacks: checkpoints, one row of figures an epoch, and images for TensorBoard."""
