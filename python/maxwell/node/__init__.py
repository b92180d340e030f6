"""The node: records, views, and (with the compiled module) the parent of the cells."""
