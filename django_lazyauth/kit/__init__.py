"""Tools that know no OAuth: fetching, counting, running in the background, retrying."""
