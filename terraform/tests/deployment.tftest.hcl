# The whole configuration with its defaults, made of mocks: the account is looked up, and every value is known in the end.
# tests/terraform reads the resulting state and holds it against the code's own names.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "defaults" {
  assert {
    condition     = output.bucket != ""
    error_message = "The bucket has no name."
  }

  assert {
    condition     = output.cache_host == "cache.example.internal"
    error_message = "cache_host is not the primary node's address."
  }
}
