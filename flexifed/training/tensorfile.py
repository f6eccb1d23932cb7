"""Named tensors in a file, in the safetensors format: a length, a JSON header, then the bytes; nothing is unpickled.

https://github.com/huggingface/safetensors describes the format. It is written here, in a few lines, because machines
with a GPU and little else must be able to continue a run; the tests read the files with the safetensors library.
"""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import torch
from torch import Tensor

NAMES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.uint8: "U8"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}

METADATA = "__metadata__"
"""What the format calls the entry of the header that is no tensor: texts by name."""


def write(stream: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write tensors (float32, float64, int64 or uint8, on any device) to a binary stream, one at a time."""
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)) + text)
    for tensor in tensors.values():
        stream.write(tensor.detach().cpu().contiguous().numpy().data)


def read_metadata(path: Path) -> dict[str, str]:
    """What `write` was given to say of the tensors in a file.

    Raises:
        ValueError: the file has no header.
    """
    with Path(path).open("rb") as stream:
        return dict(_header(stream).get(METADATA, {}))


def _header(stream: BinaryIO) -> dict[str, Any]:
    """The header of an opened file, which is then at the first tensor."""
    prefix = stream.read(8)
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if length > os.fstat(stream.fileno()).st_size:
        raise ValueError("it is cut short, or not such a file")
    header = json.loads(stream.read(length)) if length else {}
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return header


def read_into(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill tensors with the numbers of the same names in a file, one at a time.

    Raises:
        ValueError: the file is cut short, or holds other names, shapes or dtypes. Then no tensor has been changed.
    """
    with Path(path).open("rb") as stream:
        header = _header(stream)
        header.pop(METADATA, None)
        begin = stream.tell()
        if set(header) != set(tensors):
            raise ValueError(f"holds {len(header)} tensors, not the {len(tensors)} expected")
        for name, tensor in tensors.items():
            entry = header[name]
            if entry["shape"] != list(tensor.shape) or DTYPES[entry["dtype"]] != tensor.dtype:
                raise ValueError(f"{name} is {entry['dtype']} {entry['shape']}")
        if Path(path).stat().st_size - begin != max((e["data_offsets"][1] for e in header.values()), default=0):
            raise ValueError("its length is not what its header says")
        for name, tensor in tensors.items():
            start, stop = header[name]["data_offsets"]
            stream.seek(begin + start)
            data = bytearray(stream.read(stop - start))
            if data:
                tensor.copy_(torch.frombuffer(data, dtype=tensor.dtype).view(tensor.shape))
