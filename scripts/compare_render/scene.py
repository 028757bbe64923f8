"""The scene that renderers are compared on: a textured model that was fetched, and made things around it.

    python3 scene.py MODEL.glb OUT.glb          the model, a floor, spheres and a panel, seen by a camera
    python3 scene.py --environment MODULE OUT   the file that a JavaScript module holds as a data: URI

Made are what the model lacks: a floor whose texture has a direction, spheres of each kind of surface, a panel with a
normal map and vertices that share a texture's corner, so that a picture turned, mirrored or mixed up is seen at once.
"""

import base64
import json
import math
import re
import struct
import sys
import zlib

GLTF, JSON, BIN = 0x46546C67, 0x4E4F534A, 0x004E4942


class Scene:
    """glTF under construction: JSON and one buffer."""

    def __init__(self, path):
        file = open(path, "rb").read()
        size = struct.unpack_from("<I", file, 12)[0]
        self.json = json.loads(file[20 : 20 + size])
        self.bytes = bytearray(file[28 + size :][: self.json["buffers"][0]["byteLength"]])

    def add(self, kind, item):
        items = self.json.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def view(self, content):
        self.bytes += bytes(-len(self.bytes) % 4)
        view = {"buffer": 0, "byteOffset": len(self.bytes), "byteLength": len(content)}
        self.bytes += content
        return self.add("bufferViews", view)

    def accessor(self, rows, width, letter="f"):
        flat = [number for row in rows for number in (row if width > 1 else [row])]
        accessor = {
            "bufferView": self.view(struct.pack(f"<{len(flat)}{letter}", *flat)),
            "componentType": {"f": 5126, "I": 5125}[letter],
            "count": len(rows),
            "type": {1: "SCALAR", 2: "VEC2", 3: "VEC3"}[width],
        }
        if width == 3:
            accessor["min"] = [min(row[axis] for row in rows) for axis in range(3)]
            accessor["max"] = [max(row[axis] for row in rows) for axis in range(3)]
        return self.add("accessors", accessor)

    def texture(self, side, pixel):
        rows = b"".join(b"\0" + bytes(c for x in range(side) for c in pixel(x, y)) for y in range(side))
        chunk = lambda name, data: (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        image = self.add("images", {"bufferView": self.view(png), "mimeType": "image/png"})
        return self.add("textures", {"source": image})

    def place(self, material, positions, normals, corners, triangles, **node):
        attributes = {
            "POSITION": self.accessor(positions, 3),
            "NORMAL": self.accessor(normals, 3),
            "TEXCOORD_0": self.accessor(corners, 2),
        }
        indices = self.accessor([index for triangle in triangles for index in triangle], 1, "I")
        primitive = {"attributes": attributes, "indices": indices, "material": material}
        self.show(mesh=self.add("meshes", {"primitives": [primitive]}), **node)

    def show(self, **node):
        scene = self.json["scenes"][self.json.get("scene", 0)]
        scene["nodes"].append(self.add("nodes", node))

    def material(self, base=(1, 1, 1), metallic=0.0, roughness=0.5, **more):
        pbr = {"baseColorFactor": [*base, 1], "metallicFactor": metallic, "roughnessFactor": roughness}
        if "texture" in more:
            pbr["baseColorTexture"] = {"index": more.pop("texture")}
        return self.add("materials", {"pbrMetallicRoughness": pbr, **more})

    def write(self, path):
        self.json["buffers"][0]["byteLength"] = len(self.bytes)
        text = json.dumps(self.json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        content = bytes(self.bytes) + bytes(-len(self.bytes) % 4)
        chunks = struct.pack("<II", len(text), JSON) + text + struct.pack("<II", len(content), BIN) + content
        open(path, "wb").write(struct.pack("<III", GLTF, 2, 12 + len(chunks)) + chunks)


def sphere(columns=48, rows=24):
    positions, corners = [], []
    for row in range(rows + 1):
        for column in range(columns + 1):
            up, around = math.pi * row / rows, 2 * math.pi * column / columns
            positions.append([math.sin(up) * math.cos(around), math.cos(up), math.sin(up) * math.sin(around)])
            corners.append([column / columns, row / rows])
    triangles = []
    for row in range(rows):
        for column in range(columns):
            a = row * (columns + 1) + column
            b = a + columns + 1
            triangles += [[a, a + 1, b], [a + 1, b + 1, b]]
    return positions, positions, corners, triangles


def square(along, up):
    """A square of side 2 with texture corners as on a page: left to right along `along`, top to bottom against `up`."""
    normal = [along[(i + 1) % 3] * up[(i + 2) % 3] - along[(i + 2) % 3] * up[(i + 1) % 3] for i in range(3)]
    corners = [[0, 1], [1, 1], [1, 0], [0, 0]]
    positions = [[(2 * u - 1) * along[i] + (1 - 2 * v) * up[i] for i in range(3)] for u, v in corners]
    return positions, [normal] * 4, corners, [[0, 1, 2], [0, 2, 3]]


def letter(x, y, side):
    """An F on squares of two greys, red towards the right edge and green towards the lower one."""
    u, v = x / side * 6 % 1, y / side * 6 % 1
    ink = 0.25 < u < 0.4 and 0.2 < v < 0.8 or 0.25 < u < 0.75 and (0.2 < v < 0.33 or 0.45 < v < 0.57)
    grey = 60 if ink else (170 if (x * 6 // side + y * 6 // side) % 2 else 215)
    return (min(255, grey + x * 40 // side), min(255, grey + y * 40 // side), grey)


def domes(x, y, side):
    """A normal map of round bumps."""
    u, v = x / side * 4 % 1 * 2 - 1, 1 - y / side * 4 % 1 * 2
    square = u * u + v * v
    if square > 0.64:
        u = v = 0
    nx, ny = u * 0.7, v * 0.7
    return tuple(round((c + 1) * 127.5) for c in (nx, ny, math.sqrt(1 - nx * nx - ny * ny)))


def look_at(eye, target):
    """The rotation (x, y, z, w) of a camera there that looks at `target`."""
    away = [e - t for e, t in zip(eye, target)]
    yaw = math.atan2(away[0], away[2])
    pitch = -math.atan2(away[1], math.hypot(away[0], away[2]))
    (sy, cy), (sp, cp) = [(math.sin(a / 2), math.cos(a / 2)) for a in (yaw, pitch)]
    return [cy * sp, sy * cp, -sy * sp, cy * cp]


def make(model, out):
    scene = Scene(model)
    root = scene.json["scenes"][scene.json.get("scene", 0)]
    whole = scene.add("nodes", {"children": root["nodes"], "scale": [14, 14, 14], "translation": [0, 0.75, 0.0]})
    scene.json["nodes"][whole]["rotation"] = [0, math.sin(math.radians(75)), 0, math.cos(math.radians(75))]
    root["nodes"] = [whole]
    floor = scene.material(roughness=0.6, texture=scene.texture(384, lambda x, y: letter(x, y, 384)))
    scene.place(floor, *square([1, 0, 0], [0, 0, -1]), scale=[4, 4, 4], translation=[0, -0.6, 0])
    bumps = {"index": scene.texture(256, lambda x, y: domes(x, y, 256))}
    panel = scene.material((0.7, 0.35, 0.2), 0.0, 0.35, normalTexture=bumps)
    scene.place(panel, *square([1, 0, 0], [0, 1, 0]), scale=[1.1, 1.1, 1.1], translation=[-1.9, 0.5, -1.6])
    surfaces = [
        ((0.95, 0.64, 0.54), 1.0, 0.1),
        ((1.0, 0.78, 0.34), 1.0, 0.4),
        ((0.1, 0.3, 0.8), 0.0, 0.1),
        ((0.8, 0.1, 0.1), 0.0, 0.5),
        ((0.8, 0.8, 0.8), 0.0, 1.0),
    ]
    for place, (base, metallic, roughness) in enumerate(surfaces):
        node = {"scale": [0.28] * 3, "translation": [-1.5 + 0.75 * place, -0.32, 1.2]}
        scene.place(scene.material(base, metallic, roughness), *sphere(), **node)
    glow = scene.material((0, 0, 0), 0, 1, emissiveFactor=[1, 0.6, 0.2])
    scene.place(glow, *sphere(), scale=[0.2] * 3, translation=[1.6, -0.4, 0.2])
    scene.json["cameras"] = []
    camera = {"type": "perspective", "perspective": {"yfov": math.radians(38), "znear": 0.01, "zfar": 100}}
    eye, target = [0.6, 1.5, 4.6], [0, 0.15, 0]
    scene.show(camera=scene.add("cameras", camera), translation=eye, rotation=look_at(eye, target))
    scene.write(out)


def environment(module, out):
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", open(module).read())
    open(out, "wb").write(base64.b64decode(found[1]))


if __name__ == "__main__":
    if sys.argv[1] == "--environment":
        environment(*sys.argv[2:])
    else:
        make(*sys.argv[1:])
