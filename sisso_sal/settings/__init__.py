"""Settings of a campaign and of calculations, and the layers that they come from."""
