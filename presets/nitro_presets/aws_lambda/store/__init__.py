"""Where connections and their topics are kept: DynamoDB, and a twin in memory."""
