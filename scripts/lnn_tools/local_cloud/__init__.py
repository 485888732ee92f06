"""The local cloud: an AWS emulator and a Redis on loopback, with this project's Terraform applied."""
