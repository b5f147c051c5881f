"""Export of trained networks: one folder with all that another program needs to predict. Light."""
