"""Training of the network that sees what lies in front of a face (`facemotion.faces.occlusion`)."""
