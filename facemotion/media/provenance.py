"""The mark in every output's metadata that says: AI-generated, by what, showing what."""

import os
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from facemotion.version import __version__

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's digital source type of a photo of which parts were made by a trained model."""

_SIGN = b"AI-generated with facemotion "
"""What every mark's comment begins with."""

_SEARCHED_BYTES = 1 << 16
"""At either end of a file, where the mark is looked for."""

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="{software}"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="{source_type}"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">{comment}</rdf:li>
</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True)
class Mark:
    """What is written into the metadata: ``comment`` for people, ``software``, and both with the IPTC type as XMP."""

    comment: str
    software: str = f"facemotion {__version__}"

    @property
    def xmp(self) -> str:
        """The XMP packet."""
        return _XMP.format(software=escape(self.software), source_type=SOURCE_TYPE, comment=escape(self.comment))


def mark_for(expression: str) -> Mark:
    """The mark of a clip that shows ``expression`` (as it was asked for)."""
    return Mark(f"{_SIGN.decode()}{__version__} from one photo: {expression}")


def is_marked(path: Path) -> bool:
    """Whether a png, gif or webp carries the mark, at its beginning or end, where all writers put it."""
    if not os.path.isfile(path):  # a pipe would be waited for
        return False
    try:
        with open(path, "rb") as stream:
            head = stream.read(_SEARCHED_BYTES)
            if not head.startswith((b"\x89PNG", b"GIF8", b"RIFF")):
                return False
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - _SEARCHED_BYTES))
            return _SIGN in head or _SIGN in stream.read()
    except OSError:
        return False
