"""A preset of a third party: all that it adds stands in this folder, and in one entry point."""
