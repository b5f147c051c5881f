"""Train a network: the fit, its callbacks, sweeps, and the hardware it runs on."""
