"""Converts MediaPipe's ``face_landmarker.task`` to the weights of this package.

    python -m facemotion.faces.landmarker.convert face_landmarker.task facemotion/assets/landmarker.safetensors

Needs the PyPI package ``tflite``. The task file is a zip of three TensorFlow Lite graphs and the canonical face.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from facemotion.faces.landmarker.blazeface import BlazeFace
from facemotion.faces.landmarker.blendshape_mixer import BlendshapeMixer
from facemotion.faces.landmarker.face_mesh import FaceMesh

_VERTEX_VALUES = 5  # x, y, z, u, v


def graph_constants(flatbuffer: bytes) -> list[tuple[str, list[np.ndarray]]]:
    """The operators of a TensorFlow Lite graph in order: name, and the float16 constants among its inputs."""
    import tflite

    operator_names = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
    model = tflite.Model.GetRootAs(flatbuffer, 0)
    graph = model.Subgraphs(0)
    stored_as: dict[int, int] = {}  # output of a DEQUANTIZE -> its float16 input
    operators = []
    for k in range(graph.OperatorsLength()):
        operator = graph.Operators(k)
        code = model.OperatorCodes(operator.OpcodeIndex())
        name = operator_names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = [int(i) for i in operator.InputsAsNumpy()]
        if name == "DEQUANTIZE":
            stored_as[int(operator.OutputsAsNumpy()[0])] = inputs[0]
            continue
        constants = []
        for i in inputs:
            tensor = graph.Tensors(stored_as.get(i, i))
            buffer = model.Buffers(tensor.Buffer())
            if tensor.Type() == tflite.TensorType.FLOAT16 and buffer.DataLength():
                values = np.frombuffer(buffer.DataAsNumpy().tobytes(), np.float16)
                constants.append(values.reshape(tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()))
        operators.append((name, constants))
    return operators


def parameters_of(operators: list[tuple[str, list[np.ndarray]]]) -> Iterator[np.ndarray]:
    """The trained constants in the order of the graph, in PyTorch's layouts; depthwise convolutions have no bias."""
    for name, constants in operators:
        if name == "CONV_2D":
            weight, bias = constants
            yield weight.transpose(0, 3, 1, 2)
            yield bias
        elif name == "DEPTHWISE_CONV_2D":
            weight, bias = constants
            if bias.any():
                raise ValueError("a depthwise convolution of this graph has a bias, which the network here lacks")
            yield weight.transpose(3, 0, 1, 2)
        else:
            yield from (values for values in constants if values.ndim)


def fill(network: nn.Module, operators: list[tuple[str, list[np.ndarray]]]) -> dict[str, torch.Tensor]:
    """The state of a network whose parameters are registered in the order of a graph.

    Raises ValueError where graph and network do not match.
    """
    state = {}
    for (name, parameter), values in zip(network.named_parameters(), parameters_of(operators), strict=True):
        if values.size != parameter.numel() or values.shape[0] not in (1, parameter.shape[0]):
            raise ValueError(f"{name} is {tuple(parameter.shape)} here and {values.shape} in the graph")
        state[name] = torch.from_numpy(values.reshape(parameter.shape).copy())
    return state


def canonical_face(metadata: bytes) -> dict[str, torch.Tensor]:
    """The canonical face of the geometry metadata: points, triangles, and the weights of the points in the fit.

    points: (468, 3) float32, cm, x to the person's left, y up, z forward. triangles: (898, 3) int16.
    weights: (468,) float32, zero for points that take no part.
    """
    mesh = dict(_fields(metadata))[1]
    vertices = np.concatenate([_floats(value) for key, value in _fields(mesh) if key == 3])
    indices = [i for key, value in _fields(mesh) if key == 4 for i in _integers(value)]
    points = vertices.reshape(-1, _VERTEX_VALUES)[:, :3]
    weights = np.zeros(len(points), np.float32)
    for key, value in _fields(metadata):
        if key == 2:
            entry = dict(_fields(value))
            weights[entry[1]] = struct.unpack("<f", entry[2])[0]
    return {
        "points": torch.from_numpy(points.copy()),
        "triangles": torch.tensor(indices, dtype=torch.int16).reshape(-1, 3),
        "weights": torch.from_numpy(weights),
    }


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of the fields of a protocol buffer message: varints as int, everything else as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}[kind]
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _floats(value: bytes) -> np.ndarray:
    return np.frombuffer(value, "<f4")


def _integers(value: bytes | int) -> Iterator[int]:
    """A repeated integer field, packed or not."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        yield number


def converted(task: Path) -> dict[str, torch.Tensor]:
    """All tensors of the landmarker, float16 as in the task file, by the name of their network."""
    with zipfile.ZipFile(task) as archive:
        blazeface = graph_constants(archive.read("face_detector.tflite"))
        face_mesh = graph_constants(archive.read("face_landmarks_detector.tflite"))
        mixer = graph_constants(archive.read("face_blendshapes.tflite"))
        metadata = archive.read("geometry_pipeline_metadata_landmarks.binarypb")
    mixer.sort(key=lambda operator: operator[0] != "CONCATENATION")  # the class token comes first among parameters
    parts = {
        "blazeface": fill(BlazeFace(), blazeface),
        "face_mesh": fill(FaceMesh(), face_mesh),
        "blendshape_mixer": fill(BlendshapeMixer(), mixer),
        "canonical": canonical_face(metadata),
    }
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path, help="face_landmarker.task, as Google publishes it")
    parser.add_argument("out", type=Path, help="where to write the weights (.safetensors)")
    arguments = parser.parse_args()
    metadata = {
        "kind": "face-landmarker",
        "source": "MediaPipe Face Landmarker (BlazeFace short range, Face Mesh V2, Blendshape V2), Google, Apache-2.0",
        "source_sha256": hashlib.sha256(arguments.task.read_bytes()).hexdigest(),
    }
    save_file(converted(arguments.task), arguments.out, metadata=metadata)


if __name__ == "__main__":
    main()
