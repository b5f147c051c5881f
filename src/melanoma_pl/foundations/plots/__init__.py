"""The pictures of the notebooks: each function returns a matplotlib Figure and leaves pyplot's global state alone."""
