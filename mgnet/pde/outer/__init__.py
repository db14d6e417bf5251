"""What goes on around the cycles: which levels, the iteration, its end, gradients."""
