"""The notebook floor: the magic, what it shows, and how it comes and goes. Only here is IPython imported."""
