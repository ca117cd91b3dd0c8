"""What the stages of the boot share: images, their places, and how one stage hands over to the next."""
