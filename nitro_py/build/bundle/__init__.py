"""What goes into a bundle: the files of the project, its dependencies, and those of nitropy-kit."""
