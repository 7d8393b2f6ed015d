"""HTTP/1.1 and WebSockets as a server speaks them."""
