"""The preset `container`: what builds an image, or the image itself, and what runs it on many machines."""
