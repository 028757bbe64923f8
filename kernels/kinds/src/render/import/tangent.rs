//! Tangents for normal maps of meshes that bring none.
//!
//! As in MikkTSpace, a vertex's tangent is the mean, by angle, of those of the corners that share its position, normal,
//! texture coordinates and handedness, each laid into the plane of the normal. Unlike there, the corners need not be
//! joined by edges.

use std::collections::HashMap;

use super::affine::{add, cross, dot, double, scaled, single, sub, unit};
use crate::render::model::Triangle;

/// What corners with a common tangent share, bit by bit.
type Key = ([u32; 3], [u32; 3], [u32; 2], bool);

/// Gives every vertex a tangent along the first texture coordinate of a set; those that have none keep sign 0.
pub(super) fn derive(triangles: &mut [Triangle], set: usize) {
    let mut sums: HashMap<Key, [f64; 3]> = HashMap::new(); // looked up only: its order is never seen
    for triangle in triangles.iter() {
        let Some((direction, positive)) = along(triangle, set) else { continue };
        for corner in 0..3 {
            let normal = double(triangle.vertices[corner].normal);
            let Some(flat) = unit(sub(direction, scaled(normal, dot(normal, direction)))) else { continue };
            let sum = sums.entry(key(triangle, corner, set, positive)).or_default();
            *sum = add(*sum, scaled(flat, angle(triangle, corner)));
        }
    }
    for triangle in triangles {
        let Some((_, positive)) = along(triangle, set) else { continue };
        for corner in 0..3 {
            let sum = sums.get(&key(triangle, corner, set, positive)).and_then(|sum| unit(*sum));
            if let Some(tangent) = sum {
                let [x, y, z] = single(tangent);
                triangle.vertices[corner].tangent = [x, y, z, if positive { 1.0 } else { -1.0 }];
            }
        }
    }
}

/// The direction in which the first texture coordinate grows, and whether the second grows along normal x tangent.
fn along(triangle: &Triangle, set: usize) -> Option<([f64; 3], bool)> {
    let [p, q, r] = triangle.vertices.map(|vertex| double(vertex.position));
    let [a, b, c] = triangle.vertices.map(|vertex| double(vertex.uv[set]));
    let ((u1, v1), (u2, v2)) = ((b[0] - a[0], b[1] - a[1]), (c[0] - a[0], c[1] - a[1]));
    let area = u1 * v2 - u2 * v1;
    if area == 0.0 || !area.is_finite() {
        return None;
    }
    let (first, second) = (sub(q, p), sub(r, p));
    let u = unit(scaled(sub(scaled(first, v2), scaled(second, v1)), area.signum()))?;
    let v = unit(scaled(sub(scaled(second, u1), scaled(first, u2)), area.signum()))?;
    let normal = cross(first, second);
    // glTF: the bitangent is normal x tangent times the sign, and points the way the second coordinate shrinks: up in the picture.
    Some((u, dot(cross(normal, u), v) < 0.0))
}

fn angle(triangle: &Triangle, corner: usize) -> f64 {
    let [p, q, r] = [corner, (corner + 1) % 3, (corner + 2) % 3].map(|place| double(triangle.vertices[place].position));
    match (unit(sub(q, p)), unit(sub(r, p))) {
        (Some(a), Some(b)) => dot(a, b).clamp(-1.0, 1.0).acos(),
        _ => 0.0,
    }
}

fn key(triangle: &Triangle, corner: usize, set: usize, positive: bool) -> Key {
    let vertex = &triangle.vertices[corner];
    (vertex.position.map(f32::to_bits), vertex.normal.map(f32::to_bits), vertex.uv[set].map(f32::to_bits), positive)
}
