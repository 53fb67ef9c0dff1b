"""Training of the built-in face finder (`facemotion.face.finder`) from the data folder."""
