"""Draw synthetic images of moles by the ABCD rule."""
