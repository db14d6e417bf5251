"""One problem on several processes: blocks of a grid, what they exchange, and levels that lie on all of them."""
