"""The preset `aws-lambda`: a bundle for API Gateway, Lambda and DynamoDB."""
