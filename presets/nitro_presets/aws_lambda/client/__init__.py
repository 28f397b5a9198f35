"""Calls to AWS's services over plain asyncio sockets, without boto3."""
