"""Physical memory as each security state sees it."""
