"""``mme check-image``: an image, held against SageMaker's contract for containers with many models."""
