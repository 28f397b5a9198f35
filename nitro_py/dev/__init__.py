"""The development server, `nitropy dev`."""
