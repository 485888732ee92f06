"""A deployment to an AWS account: what it must know, where Terraform works, and where its state is kept."""
