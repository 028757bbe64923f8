//! Skins: vertices that follow up to four joints.

use super::accessor::Reader;
use super::affine::Affine;
use super::error::{ImportError, item};
use super::json::{Attributes, Node};
use super::pose::Pose;

/// Each vertex's transform, if the node has a skin.
pub(super) fn bones(
    reader: &Reader<'_>,
    pose: &Pose,
    attributes: &Attributes,
    node: &Node,
    count: usize,
    at: &str,
) -> Result<Option<Vec<Affine>>, ImportError> {
    let document = reader.document;
    let (Some(skin), Some(joints), Some(weights)) = (node.skin, attributes.joints_0, attributes.weights_0) else {
        return Ok(None);
    };
    if attributes.joints_1.is_some() {
        return Err(ImportError::invalid(at, "it has JOINTS_1; at most four joints a vertex are supported"));
    }
    let skin = item(&document.skins, "skins", skin, at)?;
    let inverse: Vec<[f32; 16]> = match skin.inverse_bind_matrices {
        Some(accessor) => reader.floats(accessor, &format!("{at}.inverseBindMatrices"))?,
        None => Vec::new(),
    };
    if !inverse.is_empty() && inverse.len() < skin.joints.len() {
        let why = format!("{} inverse bind matrices for {} joints", inverse.len(), skin.joints.len());
        return Err(ImportError::invalid(at, why));
    }
    reader.spend(skin.joints.len() as u64, 16, at)?;
    let mut bones = Vec::with_capacity(skin.joints.len());
    for (place, &joint) in skin.joints.iter().enumerate() {
        item(&document.nodes, "nodes", joint, at)?;
        let Some(placed) = pose.places[joint as usize].map(|place| pose.placed[place]) else {
            return Err(ImportError::invalid(at, format!("its joint nodes[{joint}] is not in the scene")));
        };
        let inverse = inverse.get(place).map_or(Affine::IDENTITY, Affine::from_columns);
        bones.push(placed.world.after(&inverse));
    }
    let joints = reader.joints(joints, &format!("{at}.JOINTS_0"))?;
    let weights = reader.floats::<4>(weights, &format!("{at}.WEIGHTS_0"))?;
    if joints.len() != count || weights.len() != count {
        return Err(ImportError::invalid(at, format!("JOINTS_0 and WEIGHTS_0 are not {count} as its positions are")));
    }
    let blend = |(joints, weights): (&[u32; 4], &[f32; 4])| {
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        let mut parts = Vec::with_capacity(4);
        for (&joint, &weight) in joints.iter().zip(weights) {
            if weight != 0.0 {
                let bone = bones
                    .get(joint as usize)
                    .ok_or_else(|| ImportError::invalid(at, format!("joint {joint} of {} in a vertex", bones.len())))?;
                parts.push((f64::from(weight) / total, *bone));
            }
        }
        Ok(if parts.is_empty() { Affine::IDENTITY } else { Affine::blend(parts.into_iter()) })
    };
    joints.iter().zip(&weights).map(blend).collect::<Result<_, _>>().map(Some)
}
