"""Does the holder of a client's private key ask (RFC 7523)?"""
