"""Training of the built-in face finder (`facemotion.faces.finder`) from the data folder."""
