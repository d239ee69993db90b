"""The seam between the control plane, which keeps SageMaker's records, and the data plane, which serves models."""
