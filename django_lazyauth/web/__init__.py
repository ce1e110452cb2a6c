"""HTTP: parse, call one flow, render. Views touch no model and open no transaction."""
