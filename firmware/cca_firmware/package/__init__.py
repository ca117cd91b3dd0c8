"""What makes the package that a machine boots from; a build machine's tools, which no image holds."""
