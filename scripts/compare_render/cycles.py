"""Run inside Blender 3.4: renders a scene with Cycles on the CPU, or compares two pictures.

    blender -b --factory-startup -noaudio --python cycles.py -- render SCENE.glb SKY.exr OUT.exr WIDTH HEIGHT SAMPLES DEPTH [gltf]
    blender -b --factory-startup -noaudio --python cycles.py -- compare OURS.exr THEIRS.exr OUT.png

Blender's importer gives materials the Principled shader, whose diffuse part is Disney's and loses nothing to the
reflection over it; with `gltf` it is replaced by the parts that glTF's own model is described with. `compare` prints the means and the relative mean squared error, in linear light, and writes ours, theirs and five times
their difference side by side.
"""

import sys

import numpy

numpy.bool = bool  # the importer of 3.4 uses a name that numpy 1.24 has dropped

import bpy


def as_gltf(material):
    """Principled by glTF 2.0, appendix B, as near as nodes come: Fresnel's term is of the view, not of the half vector."""
    tree = material.node_tree
    old = next((node for node in tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
    if old is None:
        return
    target = old.outputs["BSDF"].links[0].to_socket

    def node(kind, **inputs):
        made = tree.nodes.new(kind)
        for name, given in inputs.items():
            socket = made.inputs[int(name[1:]) if name[1:].isdigit() else name]
            if isinstance(given, bpy.types.NodeSocket) and not given.is_output and given.is_linked:
                given = given.links[0].from_socket
            if isinstance(given, bpy.types.NodeSocket) and given.is_output:
                tree.links.new(given, socket)
            elif isinstance(given, bpy.types.NodeSocket):
                if given.name != "Normal":
                    socket.default_value = given.default_value
            else:
                socket.default_value = given
        return made

    def math(operation, *numbers):
        made = node("ShaderNodeMath", **{f"_{place}": number for place, number in enumerate(numbers)})
        made.operation = operation
        return made.outputs[0]

    base, normal = old.inputs["Base Color"], old.inputs["Normal"]
    facing = node("ShaderNodeLayerWeight", Blend=0.5, Normal=normal).outputs["Facing"]
    fifth = math("POWER", facing, 5.0)
    diffuse = node("ShaderNodeBsdfDiffuse", Color=base, Normal=normal).outputs[0]
    interface = node("ShaderNodeBsdfGlossy", Color=(1, 1, 1, 1), Roughness=old.inputs["Roughness"], Normal=normal)
    enters = math("MULTIPLY_ADD", fifth, 0.96, 0.04)
    dielectric = node("ShaderNodeMixShader", Fac=enters, _1=diffuse, _2=interface.outputs[0]).outputs[0]
    color = node("ShaderNodeMixRGB", Fac=fifth, Color1=base, Color2=(1, 1, 1, 1)).outputs[0]
    metal = node("ShaderNodeBsdfGlossy", Color=color, Roughness=old.inputs["Roughness"], Normal=normal).outputs[0]
    whole = node("ShaderNodeMixShader", Fac=old.inputs["Metallic"], _1=dielectric, _2=metal).outputs[0]
    glow = node("ShaderNodeEmission", Color=old.inputs["Emission"], Strength=old.inputs["Emission Strength"])
    tree.links.new(node("ShaderNodeAddShader", _0=whole, _1=glow.outputs[0]).outputs[0], target)


def render(model, environment, out, width, height, samples, depth, shading=""):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=model)
    for thing in [thing for thing in bpy.data.objects if thing.type == "LIGHT"]:
        bpy.data.objects.remove(thing)
    scene = bpy.context.scene
    scene.camera = next(thing for thing in bpy.data.objects if thing.type == "CAMERA" and thing.data.users)
    if shading == "gltf":
        for material in [material for material in bpy.data.materials if material.use_nodes]:
            as_gltf(material)
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    sky = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    sky.image = bpy.data.images.load(environment)
    world.node_tree.links.new(sky.outputs["Color"], world.node_tree.nodes["Background"].inputs["Color"])
    scene.world = world
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = int(samples)
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = False
    # Bounces are counted after the first surface; nothing is clamped or left out, as with us.
    for kind in ["max_bounces", "diffuse_bounces", "glossy_bounces", "transmission_bounces"]:
        setattr(cycles, kind, int(depth) - 1)
    cycles.sample_clamp_indirect = cycles.sample_clamp_direct = cycles.blur_glossy = 0
    cycles.caustics_reflective = cycles.caustics_refractive = True
    cycles.pixel_filter_type = "BOX"
    cycles.filter_width = 1
    scene.render.resolution_x, scene.render.resolution_y = int(width), int(height)
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.render.filepath = out
    bpy.ops.render.render(write_still=True)


def pixels(path):
    image = bpy.data.images.load(path)
    values = numpy.empty(len(image.pixels), dtype=numpy.float32)
    image.pixels.foreach_get(values)
    return values.reshape(image.size[1], image.size[0], -1)[:, :, :3].astype(numpy.float64)


def encoded(linear):
    linear = numpy.clip(linear, 0, 1)
    return numpy.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def compare(ours, theirs, out):
    a, b = pixels(ours), pixels(theirs)
    mean = lambda picture: " ".join(f"{value:.4f}" for value in picture.mean(axis=(0, 1)))
    error = ((a - b) ** 2 / (b**2 + 0.01)).mean()
    # Over blocks, in which noise averages out and what remains is a difference of models.
    side = 16
    blocks = lambda p: p[: p.shape[0] // side * side, : p.shape[1] // side * side].reshape(
        p.shape[0] // side, side, p.shape[1] // side, side, 3
    ).mean(axis=(1, 3))
    apart = numpy.abs(blocks(a) - blocks(b)) / (blocks(b) + 0.01)
    print(f"mean      ours {mean(a)}   theirs {mean(b)}")
    print(f"relMSE    {error:.5f}")
    print(f"of {side}x{side} blocks, relative difference: median {numpy.median(apart):.4f},"
          f" 95 % below {numpy.quantile(apart, 0.95):.4f}, largest {apart.max():.4f}")
    difference = numpy.clip(5 * numpy.abs(encoded(a) - encoded(b)), 0, 1)
    picture = numpy.concatenate([encoded(a), encoded(b), difference], axis=1)
    rgba = numpy.concatenate([picture, numpy.ones_like(picture[:, :, :1])], axis=2).astype(numpy.float32)
    image = bpy.data.images.new("compared", width=rgba.shape[1], height=rgba.shape[0], float_buffer=False)
    image.colorspace_settings.name = "Raw" if "Raw" in image.colorspace_settings.bl_rna.properties["name"].enum_items else image.colorspace_settings.name
    image.pixels.foreach_set(rgba.ravel())
    image.file_format = "PNG"
    image.filepath_raw = out
    image.save()


if __name__ == "__main__":
    verb, *rest = sys.argv[sys.argv.index("--") + 1 :]
    {"render": render, "compare": compare}[verb](*rest)
