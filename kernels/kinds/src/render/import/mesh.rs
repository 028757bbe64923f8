//! Meshes become triangles in world space: morphed, skinned, placed.

use super::accessor::Reader;
use super::affine::{add, cross, double, scaled, single, sub, unit};
use super::error::{ImportError, finite, item, limit};
use super::json::{Node, Primitive, Shape};
use super::pose::{COORDINATE_MAX, Placed, Pose, beyond, name};
use super::skin::bones;
use super::tangent;
use crate::render::model::{Triangle, Vertex};

/// Triangles of a scene.
pub const TRIANGLES_MAX: usize = 2_000_000;
/// What a primitive costs beside its numbers.
const PRIMITIVE_COST: usize = 256;

/// What meshes become.
pub(super) struct Meshes<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) pose: &'a Pose,
    /// For each material, the set of texture coordinates of its normal map.
    pub(super) normal_maps: &'a [Option<u8>],
    pub(super) triangles: Vec<Triangle>,
    /// Primitives of points and lines.
    pub(super) without_surface: usize,
    /// Vertices whose normal has no direction; they get their triangle's.
    pub(super) without_normal: usize,
    /// Whether any primitive has no material; it gets one behind the last.
    pub(super) default_material: bool,
}

/// A primitive's vertices in world space, attribute by attribute.
struct Vertices {
    positions: Vec<[f64; 3]>,
    normals: Option<Vec<Option<[f64; 3]>>>,
    tangents: Option<Vec<[f64; 4]>>,
    uv: [Vec<[f32; 2]>; 2],
    colors: Vec<[f32; 4]>,
    mirrored: Vec<bool>,
}

impl Meshes<'_> {
    /// Adds a node's mesh.
    pub(super) fn add(&mut self, placed: Placed) -> Result<(), ImportError> {
        let document = self.reader.document;
        let node = item(&document.nodes, "nodes", placed.node, "the scene's tree")?;
        let Some(mesh) = node.mesh else { return Ok(()) };
        let at = name(placed.node, node);
        let mesh_index = mesh;
        let mesh = item(&document.meshes, "meshes", mesh, &at)?;
        let weights = match self.pose.weights(placed.node) {
            Some(weights) => weights.to_vec(),
            None => node.weights.as_ref().or(mesh.weights.as_ref()).into_iter().flatten().map(|&w| w.into()).collect(),
        };
        for (place, primitive) in mesh.primitives.iter().enumerate() {
            let parts = 1 + primitive.targets.len() as u64 + weights.len() as u64;
            self.reader.spend(parts, PRIMITIVE_COST, &at)?;
            let at = format!("meshes[{mesh_index}].primitives[{place}] of {at}");
            match primitive.mode {
                0..=3 => self.without_surface += 1,
                4..=6 => self.primitive(primitive, node, placed, &weights, &at)?,
                mode => return Err(ImportError::invalid(at, format!("mode {mode} is none of glTF's"))),
            }
        }
        Ok(())
    }

    fn primitive(
        &mut self,
        primitive: &Primitive,
        node: &Node,
        placed: Placed,
        weights: &[f64],
        at: &str,
    ) -> Result<(), ImportError> {
        let materials = self.reader.document.materials.len();
        let material = match primitive.material {
            Some(index) => {
                item(&self.reader.document.materials, "materials", index, at)?;
                index as usize
            }
            None => {
                self.default_material = true;
                materials
            }
        };
        let vertices = self.vertices(primitive, node, placed, weights, at)?;
        let corners = corners(self.reader, primitive, vertices.positions.len(), at)?;
        limit(at, "triangles in the scene", self.triangles.len() + corners.len(), TRIANGLES_MAX)?;
        let material_index = u32::try_from(material).map_err(|_| ImportError::invalid(at, "too many materials"))?;
        let bent = vertices.normals.iter().flatten().filter(|normal| normal.is_none()).count();
        self.without_normal += bent;
        let first = self.triangles.len();
        self.triangles.extend(corners.iter().map(|corners| vertices.triangle(*corners, material_index)));
        let added = &mut self.triangles[first..];
        if added.iter().flat_map(|triangle| &triangle.vertices).any(|vertex| beyond(vertex.position)) {
            let why = format!("a vertex lies beyond {COORDINATE_MAX:e} m, or nowhere");
            return Err(ImportError::invalid(at, why));
        }
        if let Some(&Some(set)) = self.normal_maps.get(material)
            && vertices.tangents.is_none()
        {
            tangent::derive(added, usize::from(set));
        }
        Ok(())
    }

    fn vertices(
        &self,
        primitive: &Primitive,
        node: &Node,
        placed: Placed,
        weights: &[f64],
        at: &str,
    ) -> Result<Vertices, ImportError> {
        let reader = self.reader;
        let attributes = &primitive.attributes;
        let Some(position) = attributes.position else {
            return Err(ImportError::invalid(at, "it has no POSITION"));
        };
        let positions = reader.floats::<3>(position, &format!("{at}.POSITION"))?;
        let count = positions.len();
        if let Some(place) = positions.iter().position(|position| position.iter().any(|part| !part.is_finite())) {
            return Err(ImportError::invalid(at, format!("vertex {place}'s position is not finite")));
        }
        let mut positions: Vec<[f64; 3]> = positions.into_iter().map(double).collect();
        let mut normals = attribute::<3>(reader, attributes.normal, count, &format!("{at}.NORMAL"))?
            .map(|normals| normals.into_iter().map(double).collect::<Vec<_>>());
        let tangents = attribute::<4>(reader, attributes.tangent, count, &format!("{at}.TANGENT"))?;
        self.morph(primitive, weights, &mut positions, normals.as_deref_mut(), at)?;

        let bones = bones(reader, self.pose, attributes, node, count, at)?;
        let transform = |vertex: usize| bones.as_ref().map_or(placed.world, |bones| bones[vertex]);
        let whole = (placed.world.normals(), placed.world.determinant() < 0.0); // the same for all vertices without bones
        let turn = |vertex: usize| bones.as_ref().map_or(whole.0, |bones| bones[vertex].normals());
        let mirrored: Vec<bool> = match &bones {
            Some(bones) => bones.iter().map(|bone| bone.determinant() < 0.0).collect(),
            None => vec![whole.1; count],
        };
        for (vertex, position) in positions.iter_mut().enumerate() {
            *position = transform(vertex).point(*position);
        }
        let normals: Option<Vec<Option<[f64; 3]>>> = normals.map(|normals| {
            normals.into_iter().enumerate().map(|(vertex, normal)| unit(turn(vertex).direction(normal))).collect()
        });
        // Flat normals make given tangents meaningless, says the standard.
        let tangents = tangents.filter(|_| normals.is_some()).map(|tangents| {
            let turned = |(vertex, [x, y, z, w]): (usize, [f32; 4])| {
                let mirror = if mirrored[vertex] { -1.0 } else { 1.0 };
                let sign = if w < 0.0 { -mirror } else { mirror };
                unit(transform(vertex).direction(double([x, y, z])))
                    .map_or([1.0, 0.0, 0.0, 0.0], |[x, y, z]| [x, y, z, sign])
            };
            tangents.into_iter().enumerate().map(turned).collect()
        });
        let uv = [attributes.texcoord_0, attributes.texcoord_1];
        let [first, second] = uv.map(|set| -> Result<_, ImportError> {
            let at = format!("{at}.TEXCOORD");
            let set = attribute::<2>(reader, set, count, &at)?.unwrap_or_default();
            set.iter().flatten().try_for_each(|&part| finite(part, &at).map(|_| ()))?;
            Ok(set)
        });
        let colors = colors(reader, attributes.color_0, count, &format!("{at}.COLOR_0"))?;
        Ok(Vertices { positions, normals, tangents, uv: [first?, second?], colors, mirrored })
    }

    fn morph(
        &self,
        primitive: &Primitive,
        weights: &[f64],
        positions: &mut [[f64; 3]],
        mut normals: Option<&mut [[f64; 3]]>,
        at: &str,
    ) -> Result<(), ImportError> {
        if primitive.targets.is_empty() {
            return Ok(());
        }
        if !weights.is_empty() && weights.len() != primitive.targets.len() {
            let why = format!("{} weights for {} morph targets", weights.len(), primitive.targets.len());
            return Err(ImportError::invalid(at, why));
        }
        for (place, (target, &weight)) in primitive.targets.iter().zip(weights).enumerate() {
            if weight == 0.0 {
                continue;
            }
            let at = format!("{at}.targets[{place}]");
            let deltas = attribute::<3>(self.reader, target.position, positions.len(), &at)?.unwrap_or_default();
            for (position, delta) in positions.iter_mut().zip(deltas) {
                *position = add(*position, scaled(double(delta), weight));
            }
            if let Some(normals) = normals.as_deref_mut() {
                let deltas = attribute::<3>(self.reader, target.normal, normals.len(), &at)?.unwrap_or_default();
                for (normal, delta) in normals.iter_mut().zip(deltas) {
                    *normal = add(*normal, scaled(double(delta), weight));
                }
            }
        }
        Ok(())
    }
}

impl Vertices {
    fn triangle(&self, corners: [u32; 3], material: u32) -> Triangle {
        let [a, b, c] = corners.map(|corner| corner as usize);
        let [a, b, c] = if self.mirrored[a] { [a, c, b] } else { [a, b, c] };
        let [p, q, r] = [a, b, c].map(|corner| self.positions[corner]);
        let flat = unit(cross(sub(q, p), sub(r, p))).unwrap_or([0.0, 0.0, 1.0]);
        let vertex = |corner: usize| {
            let normal = self.normals.as_ref().and_then(|normals| normals[corner]).unwrap_or(flat);
            let uv = [0, 1].map(|set| self.uv[set].get(corner).copied().unwrap_or_default());
            Vertex {
                position: single(self.positions[corner]),
                normal: single(normal),
                tangent: single(self.tangents.as_ref().map_or([1.0, 0.0, 0.0, 0.0], |tangents| tangents[corner])),
                uv,
                color: self.colors.get(corner).copied().unwrap_or([1.0; 4]),
            }
        };
        Triangle { vertices: [a, b, c].map(vertex), material }
    }
}

/// An attribute that, if it is there, has one element a vertex.
fn attribute<const N: usize>(
    reader: &Reader<'_>,
    accessor: Option<u32>,
    count: usize,
    at: &str,
) -> Result<Option<Vec<[f32; N]>>, ImportError> {
    let Some(accessor) = accessor else { return Ok(None) };
    let found = reader.count(accessor, at)?;
    if found != count as u64 {
        return Err(ImportError::invalid(at, format!("{found} elements for {count} positions")));
    }
    reader.floats(accessor, at).map(Some)
}

fn colors(reader: &Reader<'_>, accessor: Option<u32>, count: usize, at: &str) -> Result<Vec<[f32; 4]>, ImportError> {
    let shape = accessor.and_then(|accessor| reader.document.accessors.get(accessor as usize)).map(|found| found.shape);
    let mut colors: Vec<[f32; 4]> = if shape == Some(Shape::Vec3) {
        let colors = attribute::<3>(reader, accessor, count, at)?.unwrap_or_default();
        colors.into_iter().map(|[red, green, blue]| [red, green, blue, 1.0]).collect()
    } else {
        attribute(reader, accessor, count, at)?.unwrap_or_default()
    };
    for part in colors.iter_mut().flatten() {
        *part = finite(*part, at)?.clamp(0.0, 1.0);
    }
    Ok(colors)
}

/// The vertices of each triangle, each known to be there.
fn corners(reader: &Reader<'_>, primitive: &Primitive, count: usize, at: &str) -> Result<Vec<[u32; 3]>, ImportError> {
    let indices = match primitive.indices {
        Some(accessor) => reader.indices(accessor, &format!("{at}.indices"))?,
        None => (0..u32::try_from(count).map_err(|_| ImportError::invalid(at, "too many vertices"))?).collect(),
    };
    if let Some(wrong) = indices.iter().find(|&&index| index as usize >= count) {
        return Err(ImportError::invalid(at, format!("index {wrong} of {count} vertices")));
    }
    let n = indices.len();
    if primitive.mode == 4 && n % 3 != 0 {
        return Err(ImportError::invalid(at, format!("{n} vertices are no whole triangles")));
    }
    Ok(match primitive.mode {
        5 => indices
            .windows(3)
            .enumerate()
            .map(|(place, w)| if place % 2 == 0 { [w[0], w[1], w[2]] } else { [w[0], w[2], w[1]] })
            .collect(),
        6 => indices.windows(2).skip(1).map(|w| [w[0], w[1], indices[0]]).collect(),
        _ => indices.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect(),
    })
}
