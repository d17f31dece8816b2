"""Other people's weights: any video pipeline of diffusers as a World, and pictures painted by it over our things."""
