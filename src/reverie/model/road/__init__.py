"""Traffic imagined: what agents see, the network, and how it goes on."""
