"""The pages and protocol endpoints: parse, call one function of a room, render. No query and no transaction."""
