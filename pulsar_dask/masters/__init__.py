"""What can be made: one file a product, each a recipe."""
