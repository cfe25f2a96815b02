"""What each command does, once the arguments are parsed and torch may be imported."""
