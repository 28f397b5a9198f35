"""A small client for the AWS APIs that the functions call."""
