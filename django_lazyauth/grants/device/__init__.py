"""What does a device without a browser get: its codes, and later its tokens (RFC 8628)?"""
