"""The configuration of a project: files, environment and command line, checked."""
