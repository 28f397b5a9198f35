"""Writing an image without a daemon: a base image, and two layers on top."""
