"""Several futures of one past: what is read, what is wished for, and what is written of them."""
