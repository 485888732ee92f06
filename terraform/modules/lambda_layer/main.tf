resource "aws_lambda_layer_version" "this" {
  compatible_architectures = [var.architecture]
  compatible_runtimes      = [var.runtime]
  description              = "numpy, h5py and the libraries that the LNN functions share"
  filename                 = var.zip
  layer_name               = var.name
  # Guarded so that a destroy works after the build is gone.
  source_code_hash = fileexists(var.zip) ? filebase64sha256(var.zip) : null

  lifecycle {
    precondition {
      condition     = fileexists(var.zip)
      error_message = "The layer ${var.zip} does not exist. Build it with `make layer`, or point layer_zip at one for ${var.runtime} on ${var.architecture}."
    }
  }
}
