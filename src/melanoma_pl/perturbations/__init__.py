"""Photos changed on purpose, to see what the network does with them."""
