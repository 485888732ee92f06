"""A deployment to an AWS account: its settings, Terraform's folder, and the state's place."""
