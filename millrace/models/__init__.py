"""What is known of a model: its card, and the model that the package ships."""
