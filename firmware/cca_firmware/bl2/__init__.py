"""The trusted boot firmware: sets up granule protection and loads the images of every world."""
