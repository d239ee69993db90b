"""What SageMaker refuses, what AWS advises against, and the tables of what AWS has."""
