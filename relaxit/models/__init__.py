"""Networks sized from the shapes of a relaxation."""
