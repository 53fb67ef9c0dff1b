"""The sound of one video carried into another."""

from __future__ import annotations

from pathlib import Path

from facemotion.errors import InputError

_CODECS = {"mp4": "aac", "webm": "libopus"}
_RATES = {"mp4": 44_100, "webm": 48_000}


def has_sound(video: str | Path) -> bool:
    """Whether a video has an audio track; raises InputError for a file that is no video."""
    import av

    try:
        with av.open(f"file:{video}") as container:
            return bool(container.streams.audio)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{video} cannot be read as a video ({error}).", "Give another file.") from error


def add_sound(clip: Path, source: str | Path, *, format_name: str, seconds: float) -> None:
    """Rewrite a finished mp4 or webm with the sound of a video, as long as the clip; its pictures stay bit for bit.

    clip: the file, replaced in place. source: a video whose sound starts where its pictures do. seconds: the clip's
    length. A source without sound leaves the clip as it is.
    """
    import av

    silent = clip.with_name(f"{clip.stem}-silent{clip.suffix}")
    if not has_sound(source):
        return
    clip.rename(silent)
    options = {"movflags": "+faststart"} if format_name == "mp4" else {}
    with (
        av.open(f"file:{silent}") as pictures,
        av.open(f"file:{source}") as heard,
        av.open(f"file:{clip}", "w", format=format_name, options=options) as out,
    ):
        out.metadata.update(pictures.metadata)
        video_in = pictures.streams.video[0]
        video_out = out.add_stream_from_template(video_in)
        audio_out = out.add_stream(_CODECS[format_name], rate=_RATES[format_name])
        for packet in pictures.demux(video_in):
            if packet.dts is not None:
                packet.stream = video_out
                out.mux(packet)
        resampler = av.AudioResampler(format=audio_out.format, layout="stereo", rate=_RATES[format_name])
        written, most = 0, round(seconds * _RATES[format_name])
        for frame in heard.decode(audio=0):
            frame.pts = None
            for part in resampler.resample(frame):
                if written < most:
                    part.pts = written
                    written += part.samples
                    out.mux(audio_out.encode(part))
            if written >= most:
                break
        out.mux(audio_out.encode(None))
    silent.unlink()
