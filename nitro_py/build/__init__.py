"""The build side: from handler files to a bundle. Never ships."""
