"""Tools that build the package that a machine boots from. They run on a build machine and are in no image."""
