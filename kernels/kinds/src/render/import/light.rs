//! Lights without a surface (`KHR_lights_punctual`).

use super::accessor::Reader;
use super::affine::{scaled, single, unit};
use super::error::{ImportError, finite, item, limit};
use super::json::LightType;
use super::pose::{Pose, name};
use crate::render::model::{Light, LightKind};

const LIGHTS_MAX: usize = 4096;

/// The lights of the scene, in the order of its nodes.
pub(super) fn lights(reader: &Reader<'_>, pose: &Pose) -> Result<Vec<Light>, ImportError> {
    let document = reader.document;
    let known = document.extensions.lights.as_ref().map_or(&[][..], |lights| &lights.lights);
    let mut lights = Vec::new();
    for placed in &pose.placed {
        let node = item(&document.nodes, "nodes", placed.node, "the scene's tree")?;
        let Some(used) = &node.extensions.light else { continue };
        let at = name(placed.node, node);
        let light = item(known, "lights", used.light, &at)?;
        limit(&at, "lights", lights.len() + 1, LIGHTS_MAX)?;
        let mut intensity = [0.0; 3];
        for (to, color) in intensity.iter_mut().zip(light.color) {
            *to = finite(color.max(0.0) * light.intensity.max(0.0), &at)?;
        }
        let range = light.range.filter(|range| range.is_finite());
        if range.is_some_and(|range| range <= 0.0) {
            return Err(ImportError::invalid(at, "its light's range is not above 0"));
        }
        let position = single(placed.world.position());
        let direction = unit(placed.world.direction([0.0, 0.0, -1.0])).map(single).unwrap_or([0.0, 0.0, -1.0]);
        let kind = match light.kind {
            LightType::Directional => LightKind::Directional { direction },
            LightType::Point => LightKind::Point { position, range },
            LightType::Spot => {
                let spot = light.spot.clone().unwrap_or_default();
                let (inner, outer) = (spot.inner_cone_angle, spot.outer_cone_angle);
                if !(inner >= 0.0 && inner < outer && outer <= std::f32::consts::FRAC_PI_2) {
                    let why = format!("cone angles {inner} and {outer}: accepted are 0 <= inner < outer <= pi/2");
                    return Err(ImportError::invalid(at, why));
                }
                LightKind::Spot { position, direction, cosines: [inner.cos(), outer.cos()], range }
            }
        };
        lights.push(Light { kind, intensity });
    }
    Ok(lights)
}

/// The corners of the box around points, if there are any.
pub(super) fn bounds(points: impl Iterator<Item = [f32; 3]>) -> Option<[[f64; 3]; 2]> {
    points.fold(None, |sofar: Option<[[f64; 3]; 2]>, point| {
        let point = point.map(f64::from);
        let [low, high] = sofar.unwrap_or([point; 2]);
        let pick = |a: [f64; 3], less: bool| {
            std::array::from_fn(|axis| if (point[axis] < a[axis]) == less { point[axis] } else { a[axis] })
        };
        Some([pick(low, true), pick(high, false)])
    })
}

/// The middle of a box, and the radius of the sphere around it.
pub(super) fn sphere([low, high]: [[f64; 3]; 2]) -> ([f64; 3], f64) {
    let half = scaled(super::affine::sub(high, low), 0.5);
    (scaled(super::affine::add(low, high), 0.5), super::affine::dot(half, half).sqrt())
}
