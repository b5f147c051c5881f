"""Measure what raises the AUROC, by cross-validation on the training images alone."""
