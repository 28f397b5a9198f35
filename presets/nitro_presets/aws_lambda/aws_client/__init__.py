"""A small client of the AWS APIs that the functions call, without boto3."""
