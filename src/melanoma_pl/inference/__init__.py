"""Apply trained networks to images: predictions, ensembles, heat maps, and perturbed images."""
