"""What is solved: grids, ends, coefficients, masks, and the operator they make."""
