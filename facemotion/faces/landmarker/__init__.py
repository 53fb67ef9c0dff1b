"""MediaPipe's Face Landmarker in PyTorch: 478 face points with irises and the scores of 52 expression units.

``Landmarker.load().measure(photo)`` is the way in; see `landmarker`. Networks and weights are Google's (Apache-2.0).
"""

from facemotion.faces.landmarker.landmarker import Landmarker
from facemotion.faces.landmarker.roi import Roi

__all__ = ["Landmarker", "Roi"]
