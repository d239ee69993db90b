"""The toolkit for Amazon SageMaker multi-model endpoints: what happens before and after a deployment.

``mme --help`` lists what it does.
"""
