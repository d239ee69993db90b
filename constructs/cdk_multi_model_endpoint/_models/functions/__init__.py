"""Programs that deployments bring to AWS Lambda."""
