"""Settings: the schema, the Hydra app, the objects that settings describe, and resuming a run's configuration."""
