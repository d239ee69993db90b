"""What services of ours have in common: AWS's protocol, shapes, errors, and the types of CloudFormation."""
