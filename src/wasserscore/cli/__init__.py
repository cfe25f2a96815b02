"""The command line: parse, call the experiment room, print."""
