"""The CloudFormation stack: its template, its deployment, and publishing to it."""
