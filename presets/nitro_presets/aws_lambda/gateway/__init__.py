"""A strict stand-in for API Gateway and Lambda, for `nitropy preview` and the tests; it never ships."""
