"""Did who sends this request have that key just now (RFC 9449)?"""
