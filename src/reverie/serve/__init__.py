"""The server: the Sora-style video API, its jobs and its page; nothing imports it but the command line."""
