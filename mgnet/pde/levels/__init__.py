"""What a grid does, in plain torch: smoothers, transfers, direct and line solves, interpolants, full approximation."""
