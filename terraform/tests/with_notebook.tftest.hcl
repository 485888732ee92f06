# The whole configuration with a notebook, made of mocks: with every setting known, its script is short enough for SageMaker.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "a_deployment_with_a_notebook" {
  variables {
    notebook = { enabled = true }
    prefix   = "a-prefix-of-20-chars"
  }

  assert {
    condition     = output.notebook_name == "a-prefix-of-20-chars-notebook"
    error_message = "The notebook has another name."
  }
}
