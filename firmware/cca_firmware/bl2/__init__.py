"""The trusted boot firmware: granule protection, and the images of every world."""
