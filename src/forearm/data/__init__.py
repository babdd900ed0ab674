"""Episodes, datasets on disk, and what training makes of them."""
